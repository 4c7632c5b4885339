"""Sends payments while the learner promotes and rolls back, and records which version scored each one."""

from __future__ import annotations

import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from exercises.earlier_champion import MODEL, Scene, version_in_use
from exercises.expect import Description, expect

GATE_TAG = "gate"
NUMBERS = itertools.count(8_000_000_000_000)


@dataclass
class Bank:
    """Sends a payment every few hundredths of a second, and records the answers."""

    url: str
    key: str
    day: date
    versions: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pay, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more payments."""
        self._over.set()
        self._thread.join()

    def _pay(self) -> None:
        with httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=10) as client:
            while not self._over.is_set():
                number = next(NUMBERS)
                body = {
                    "transaction_id": number,
                    "customer_id": number % 100,
                    "terminal_id": number % 200,
                    "amount": 10 + number % 90,
                    "occurred_at": f"{self.day}T{number % 24:02d}:00:00Z",
                }
                try:
                    answer = client.post("/v1/score", json=body)
                except httpx.TransportError as error:
                    self.failed.append(f"{type(error).__name__}: {error}")
                    continue
                if answer.status_code == 200:
                    self.versions.append(answer.json()["model_version"])
                else:
                    self.failed.append(f"status {answer.status_code}")
                time.sleep(0.02)


@pytest.fixture
def scene(earlier: Scene) -> Scene:
    """The state before the learner's code runs."""
    if GATE_TAG in earlier.client.get_model_version(MODEL, earlier.demo).tags:
        earlier.client.delete_model_version_tag(MODEL, earlier.demo, GATE_TAG)
    earlier.restore()
    return earlier


def test_promoted_and_rolled_back_while_payments_come(scene: Scene, answer: Any) -> None:
    url, key = os.environ["SCORER_URL"], os.environ["SCORER_API_KEY"]
    bank = Bank(url, key, date.fromisoformat(scene.days[-1]) + timedelta(days=2))
    looked: dict[str, str] = {}
    there_were = scene.versions()

    def look(moment: str) -> None:
        # Read at once, so that code that does not wait is not saved by the next poll. Then let some payments come.
        looked[moment] = version_in_use()
        time.sleep(0.5)

    pipeline = answer.Pipeline(os.environ["MLFLOW_TRACKING_URI"], url, key, MODEL, scene.demo_run_id)
    try:
        answer.shift(pipeline, look)
    finally:
        time.sleep(0.5)
        bank.stop()
    expect(
        "shift(pipeline, look): the moments at which look was called",
        list(looked),
        ["promoted", "rolled back"],
        'call look twice: look("promoted"), then look("rolled back")',
        [([], "look was never called")],
    )
    expect(
        'the version that the scorer uses at look("promoted")',
        looked["promoted"],
        scene.demo,
        "the scorer does not use the challenger",
        [
            (
                scene.champion,
                "the alias has moved, but the scorer does not use the version yet: it polls every few seconds, and "
                "verifies and tests a version first; wait until it reports the version",
            )
        ],
    )
    expect(
        f"what the gate said of version {scene.demo}, as MLflow has it",
        scene.client.get_model_version(MODEL, scene.demo).tags.get(GATE_TAG),
        "promoted",
        "the gate rejected it",
        [(None, "the alias was moved without the gate: the challenger was not compared with the champion")],
    )
    expect(
        'the version that the scorer uses at look("rolled back")',
        looked["rolled back"],
        scene.champion,
        "roll back to the version that was champion before",
        [
            (
                scene.demo,
                "the challenger is still in use: move the alias back, and wait until the scorer uses the old version. "
                "The gate moves the alias, so read the champion's version before",
            )
        ],
    )
    expect(
        "the number of model versions afterwards",
        scene.versions(),
        there_were,
        "roll back by moving the alias, without creating or deleting a version",
    )
    expect(
        "payments that were not answered",
        bank.failed,
        [],
        "a payment failed meanwhile: do not stop the scorer",
    )
    seen = [version for version, _ in itertools.groupby(bank.versions)]
    expect(
        "the versions that payments were scored by, in order",
        seen,
        [scene.champion, scene.demo, scene.champion],
        "payments must be scored by the old champion, the challenger, and the old champion again",
        [(lambda _: len(bank.versions) < 10, Description("hardly any payments were scored: was the scorer blocked?"))],
    )

"""Live payments while the learner promotes and rolls back: what the scorer answered by, and whether it always did."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from exercises.expect import Said, UnavailableError, expect

CHAMPION = "champion"
GATE_TAG = "gate"
MODEL = os.environ.get("MODEL_NAME") or "fraud"
NUMBERS = itertools.count(8_000_000_000_000)


@dataclass
class Bank:
    """Sends a payment every few hundredths of a second, and notes what came."""

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


@dataclass(frozen=True)
class Scene:
    """The line, its present champion, and the challenger."""

    client: MlflowClient
    before: str
    challenger: str
    run_id: str
    day: date


def run(module: str, *options: str, lake: Path) -> dict[str, Any]:
    """One command of the line; its last line is JSON."""
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, env=os.environ | {"LAKE_URI": str(lake)}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"{module} failed: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_use(scene_or_url: str, key: str) -> str:
    """The version that the scorer answers by."""
    answer = httpx.get(f"{scene_or_url}/v1/model", headers={"X-API-Key": key}, timeout=10)
    return str(answer.raise_for_status().json()["version"])


def wait_for(version: str) -> None:
    """Until the scorer answers by a version."""
    end = time.monotonic() + 60
    while in_use(os.environ["SCORER_URL"], os.environ["SCORER_API_KEY"]) != version:
        if time.monotonic() > end:
            raise UnavailableError(f"the scorer did not take version {version}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The bank still runs a model of earlier days; the demo's own is the challenger."""
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    present = client.get_model_version_by_alias(MODEL, CHAMPION)
    lake, part = Path(os.environ["LAKE_URI"]), tmp_path_factory.mktemp("lake")
    days = sorted(path.name.removeprefix("day=") for path in (lake / "features").iterdir())
    some = days[: len(days) // 2]
    for table in ("clean", "features", "reports"):
        (part / table).mkdir()
        for day in some:
            if (lake / table / f"day={day}").exists():
                (part / table / f"day={day}").symlink_to(lake / table / f"day={day}")
    run_id = run("modeling.train", "--from", some[0], "--to", some[-1], lake=part)["run_id"]
    version = run("modeling.evaluate", "--run-id", run_id, lake=part)["model_version"]
    return Scene(client, version, present.version, present.tags["run_id"], date.fromisoformat(days[-1]) + timedelta(2))


@pytest.fixture
def scene(old: Scene) -> Iterator[Scene]:
    """As it is before the learner begins."""
    if GATE_TAG in old.client.get_model_version(MODEL, old.challenger).tags:
        old.client.delete_model_version_tag(MODEL, old.challenger, GATE_TAG)
    old.client.set_registered_model_alias(MODEL, CHAMPION, old.before)
    wait_for(old.before)
    return old


def test_promoted_and_rolled_back_while_payments_come(scene: Scene, answer: Any) -> None:
    url, key = os.environ["SCORER_URL"], os.environ["SCORER_API_KEY"]
    bank = Bank(url, key, scene.day)
    looked: dict[str, str] = {}
    there_were = len(scene.client.search_model_versions(f"name='{MODEL}'"))

    def look(moment: str) -> None:
        time.sleep(0.5)
        looked[moment] = in_use(url, key)

    line = answer.Line(os.environ["MLFLOW_TRACKING_URI"], url, key, MODEL, scene.run_id)
    try:
        answer.shift(line, look)
    finally:
        time.sleep(0.5)
        bank.stop()
    expect(
        "shift(line, look): the moments at which look was called",
        list(looked),
        ["promoted", "rolled back"],
        'look is to be called twice: look("promoted"), then look("rolled back")',
        [([], "nothing was promoted, or nobody was told: look was never called")],
    )
    expect(
        'the version that the scorer answers by at look("promoted")',
        looked["promoted"],
        scene.challenger,
        "the scorer answers by another version than the challenger",
        [
            (
                scene.before,
                "the alias has moved, and the scorer has not taken it yet: it looks every few seconds, and verifies "
                "and tries a version before it uses it; wait until it says so",
            )
        ],
    )
    expect(
        f"what the gate said of version {scene.challenger}, as MLflow has it",
        scene.client.get_model_version(MODEL, scene.challenger).tags.get(GATE_TAG),
        "promoted",
        "the gate did not let it through",
        [(None, "the alias was moved past the gate: nobody compared the challenger with the champion")],
    )
    expect(
        'the version that the scorer answers by at look("rolled back")',
        looked["rolled back"],
        scene.before,
        "rolled back is to the version that was champion before",
        [(scene.challenger, "the challenger is still in use: move the alias back, and wait until the scorer has it")],
    )
    expect(
        "the number of model versions afterwards",
        len(scene.client.search_model_versions(f"name='{MODEL}'")),
        there_were,
        "to roll back is to move the alias: no version is made or deleted for it",
    )
    expect("payments that were not answered", bank.failed, [], "a payment failed meanwhile: the scorer is not to be stopped")
    seen = [version for version, _ in itertools.groupby(bank.versions)]
    expect(
        "the versions that payments were scored by, in order",
        seen,
        [scene.before, scene.challenger, scene.before],
        "payments are to be scored by the old champion, the challenger, and the old champion again",
        [(lambda _: len(bank.versions) < 10, Said("hardly a payment was scored: was the scorer held up?"))],
    )

"""The injected clock decides what is in the future, and dates the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from demo.embedded_servers import free_port
from serving.app import create_app
from serving.settings import Settings
from tests.serving.running import KEYS, body, reports_body, wait_for

NOW = datetime(2018, 9, 1, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
Fresh = Callable[[], int]


@pytest.fixture(scope="module")
def client(settings: dict[str, str], state: Any) -> Iterator[httpx.Client]:
    """A scorer in this process, with its clock in the distant past."""
    assert state.ping()
    named = {name.lower(): value for name, value in settings.items()}
    app = create_app(Settings.model_validate(named | {"secrets_dir": Path(named["secrets_dir"])}), clock=lambda: NOW)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEYS["all"]}) as client:
        wait_for(lambda: server.started and client.get("/readyz").status_code == 200)
        yield client
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(("ahead", "status"), [(0, 200), (300, 200), (301, 422)])
def test_at_most_five_minutes_ahead_are_accepted(client: httpx.Client, fresh: Fresh, ahead: int, status: int) -> None:
    payment = body(fresh(), fresh(), fresh(), 100, SECOND + ahead)
    assert client.post("/v1/score", json=payment).status_code == status
    batch = {"transactions": [body(fresh(), fresh(), fresh(), 100, SECOND), payment]}
    answer = client.post("/v1/score/batch", json=batch)
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["detail"][0]["field"] == "transactions.1.occurred_at"
        assert "5 minutes" in answer.json()["detail"][0]["msg"]
    assert client.post("/v1/fraud-reports", json=reports_body((1, SECOND + ahead))).status_code == status


def test_an_answer_is_dated_by_the_clock(client: httpx.Client, fresh: Fresh) -> None:
    number = fresh()
    client.post("/v1/score", json=body(number, fresh(), fresh(), 100, SECOND))
    assert client.get(f"/v1/decisions/{number}").json()["decided_at"] == "2018-09-01T12:00:00Z"

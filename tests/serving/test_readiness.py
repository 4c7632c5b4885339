"""Readiness while a store is in a state that a test of the whole scorer only meets by chance."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from serving.errors import OnlineStoreUnavailableError
from serving.observability.readiness import check_readiness


def test_a_valkey_that_was_just_restarted_is_one_of_the_checks() -> None:
    """The first call on a new connection finds out, and the circuit breaker may not know yet."""

    async def restarted() -> str:
        raise OnlineStoreUnavailableError("Valkey was restarted")

    async def reachable() -> None:
        return None

    services: Any = SimpleNamespace(
        store=SimpleNamespace(incompatible=restarted),
        breaker=SimpleNamespace(problem=""),
        champions=SimpleNamespace(current=SimpleNamespace(version="7"), problem=""),
        log=SimpleNamespace(check=reachable),
        relays=(),
        server=SimpleNamespace(problem="", note=""),
        backpressure=SimpleNamespace(problem="", state=""),
    )
    checks = asyncio.run(check_readiness(services)).checks
    assert {name: check.ok for name, check in checks.items()} == {
        "online_state": False,
        "model": True,
        "decision_log": True,
        "capacity": True,
    }
    assert checks["online_state"].detail.startswith("Valkey was restarted; until ")

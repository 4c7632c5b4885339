"""Readiness: whether payments can be scored with history, and what is missing if not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg
from psycopg.errors import LockNotAvailable
from valkey.exceptions import ValkeyError

from contracts.addresses import redact
from serving.decision_log.schema import TablesError
from serving.errors import NotReadyError, OnlineStoreUnavailableError
from serving.recovery.circuit_breaker import UNTIL_THEN
from serving.services import Services

MEANWHILE: Final = "until then, decisions wait in the outbox (Valkey)"


@dataclass(frozen=True)
class Check:
    """One part's state: whether it works, and if not, the problem and the remedy, without credentials of addresses."""

    ok: bool
    detail: str

    def __post_init__(self) -> None:
        # The endpoint needs no key.
        object.__setattr__(self, "detail", redact(self.detail))


@dataclass(frozen=True)
class Readiness:
    """The state of all parts."""

    checks: dict[str, Check]

    @property
    def ready(self) -> bool:
        """Whether payments can be scored with history, which does not need the decision log."""
        return self.checks["online_state"].ok and self.checks["model"].ok

    def as_dict(self) -> dict[str, Any]:
        """The readiness as JSON.

        `degraded` is true if any check fails. It concerns the service, unlike the `degraded` of a response, which means
        that the payment was scored without complete history.
        """
        return {
            "ready": self.ready,
            "degraded": not all(check.ok for check in self.checks.values()),
            "checks": {name: asdict(check) for name, check in self.checks.items()},
        }


async def check_readiness(services: Services) -> Readiness:
    """Check every part."""
    store, log = await asyncio.gather(_check_store(services), _check_log(services))
    checks = {"online_state": store, "model": _check_model(services), "decision_log": log}
    return Readiness(checks | {"capacity": _check_capacity(services)})


async def _check_store(services: Services) -> Check:
    try:
        problem = await services.store.incompatible()
    except ValkeyError as error:
        return Check(False, f"{_away('Valkey', error)}: check VALKEY_URL, and that Valkey runs; {UNTIL_THEN}")
    except OnlineStoreUnavailableError as error:
        return Check(False, f"{error}; {UNTIL_THEN}")
    problem = problem or services.breaker.problem
    return Check(not problem, f"{problem}; {UNTIL_THEN}" if problem else "compatible and in use")


def _check_model(services: Services) -> Check:
    try:
        version = services.champions.current.version
    except NotReadyError as error:
        return Check(False, str(error))
    problem = services.champions.problem
    return Check(True, f"version {version}" + (f"; {problem}" if problem else ""))


async def _check_log(services: Services) -> Check:
    try:
        await services.log.check()
    except TablesError as error:
        return Check(False, f"{error}; {MEANWHILE}")
    except LockNotAvailable:
        return Check(False, f"a table of the decision log is locked: end the session that locks it; {MEANWHILE}")
    except psycopg.Error as error:
        return Check(False, f"{_away('PostgreSQL', error)}: check DECISIONS_URL, and that PostgreSQL runs; {MEANWHILE}")
    return Check(True, "reachable")


def _check_capacity(services: Services) -> Check:
    """How full the outbox and Valkey are, as the relay last measured them."""
    pressure = services.backpressure
    if pressure.problem:
        meanwhile = "payments" if pressure.full else "batches, not single payments,"
        return Check(False, f"{pressure.problem}; until then, {meanwhile} are rejected")
    return Check(True, pressure.state)


def _away(what: str, error: Exception) -> str:
    # Without the error's message: the endpoint needs no key.
    return f"{what} does not answer ({type(error).__name__})"

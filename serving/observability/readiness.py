"""Readiness: whether payments can be scored with history, and what is missing if not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg
from valkey.exceptions import ValkeyError

from contracts.addresses import redact
from serving.decision_log.problems import problem_of
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
    if problem:
        return Check(False, f"{problem}; {UNTIL_THEN}")
    return Check(True, "; ".join(filter(None, ("compatible and in use", services.server.note))))


def _check_model(services: Services) -> Check:
    try:
        version = services.champions.current.version
    except NotReadyError as error:
        return Check(False, str(error))
    problem = services.champions.problem
    return Check(True, f"version {version}" + (f"; {problem}" if problem else ""))


async def _check_log(services: Services) -> Check:
    """Whether decisions and fraud reports can be recorded: what the tables say, and what the last attempts did."""
    problems = [relay.problem for relay in services.relays if relay.problem]
    try:
        await services.log.check()
    except (psycopg.Error, OSError) as error:
        problems = [problem_of(error)]
    if problems:
        return Check(False, f"{problems[0]}; {MEANWHILE}")
    return Check(True, "reachable")


def _check_capacity(services: Services) -> Check:
    """How full the outbox and Valkey are, as the relay last measured them."""
    pressure = services.backpressure
    if pressure.problem:
        meanwhile = "payments" if pressure.full else "batches, not single payments,"
        return Check(False, f"{pressure.problem}; until then, {meanwhile} are rejected")
    return Check(not services.server.problem, services.server.problem or pressure.state)


def _away(what: str, error: Exception) -> str:
    # Without the error's message: the endpoint needs no key.
    return f"{what} is not responding ({type(error).__name__})"

"""Readiness: whether payments can be scored with history, and what is missing if not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from valkey.exceptions import ValkeyError

from serving.decision_log.schema import TablesError
from serving.errors import NotReadyError
from serving.recovery.circuit_breaker import UNTIL_THEN
from serving.services import Services


@dataclass(frozen=True)
class Check:
    """One part's state."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Readiness:
    """The state of all parts. Scoring does not need the decision log: without it the scorer is ready but degraded."""

    checks: dict[str, Check]

    @property
    def ready(self) -> bool:
        """Whether payments can be scored with history."""
        return self.checks["online_state"].ok and self.checks["model"].ok

    def as_dict(self) -> dict[str, Any]:
        """The readiness as JSON."""
        return {
            "ready": self.ready,
            "degraded": not all(check.ok for check in self.checks.values()),
            "checks": {name: asdict(check) for name, check in self.checks.items()},
        }


async def check_readiness(services: Services) -> Readiness:
    """Check every part."""
    store, log = await asyncio.gather(_check_store(services), _check_log(services))
    return Readiness({"online_state": store, "model": _check_model(services), "decision_log": log})


async def _check_store(services: Services) -> Check:
    try:
        problem = await services.store.incompatible()
    except ValkeyError as error:
        return Check(
            False, f"Valkey does not answer: {type(error).__name__}: check VALKEY_URL and that it runs; {UNTIL_THEN}"
        )
    if problem:
        return Check(False, f"cannot be used: {problem}: {UNTIL_THEN}")
    problem = services.breaker.problem
    return Check(not problem, f"not in use: {problem}: {UNTIL_THEN}" if problem else "compatible and in use")


def _check_model(services: Services) -> Check:
    try:
        version = services.champions.current.version
    except NotReadyError as error:
        return Check(False, str(error))
    problem = services.champions.problem
    return Check(True, f"version {version}" + (f"; a newer one is not loaded: {problem}" if problem else ""))


async def _check_log(services: Services) -> Check:
    try:
        await services.log.check()
    except TablesError as error:
        return Check(False, f"{error}; decisions wait in the online state meanwhile")
    except psycopg.Error as error:
        return Check(
            False, f"PostgreSQL does not answer: {type(error).__name__}: decisions wait in the outbox (Valkey)"
        )
    return Check(True, "reachable")

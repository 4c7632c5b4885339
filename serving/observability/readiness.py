"""Whether a payment can be scored whole, and what is missing where it cannot."""

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
    """One part's state in words."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Readiness:
    """The state of all parts. The decision log is not needed for a score: without it the scorer is degraded."""

    checks: dict[str, Check]

    @property
    def ready(self) -> bool:
        """Whether a payment can be scored whole."""
        return self.checks["online_state"].ok and self.checks["model"].ok

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "ready": self.ready,
            "degraded": not all(check.ok for check in self.checks.values()),
            "checks": {name: asdict(check) for name, check in self.checks.items()},
        }


async def check_readiness(services: Services) -> Readiness:
    """Ask every part."""
    state, log = await asyncio.gather(_check_state(services), _check_log(services))
    return Readiness({"online_state": state, "model": _check_model(services), "decision_log": log})


async def _check_state(services: Services) -> Check:
    try:
        unfit = await services.state.unfit()
    except ValkeyError as error:
        return Check(
            False, f"Valkey does not answer: {type(error).__name__}: check VALKEY_URL and that it runs; {UNTIL_THEN}"
        )
    if unfit:
        return Check(False, f"cannot be used: {unfit}: {UNTIL_THEN}")
    problem = services.online.problem
    return Check(not problem, f"not in use: {problem}: {UNTIL_THEN}" if problem else "written, and fits")


def _check_model(services: Services) -> Check:
    try:
        version = services.champions.current.version
    except NotReadyError as error:
        return Check(False, str(error))
    problem = services.champions.problem
    return Check(True, f"version {version}" + (f"; a newer one is not taken: {problem}" if problem else ""))


async def _check_log(services: Services) -> Check:
    try:
        await services.log.check()
    except TablesError as error:
        return Check(False, f"{error}; decisions wait in the online state meanwhile")
    except psycopg.Error as error:
        return Check(
            False, f"PostgreSQL does not answer: {type(error).__name__}: decisions wait in the online state meanwhile"
        )
    return Check(True, "reachable")

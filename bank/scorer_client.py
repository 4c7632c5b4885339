"""The bank's client for the scorer; retries while the scorer is busy or unreachable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter
from tenacity.stop import stop_base

from bank.errors import BankError, IdConflictError
from contracts.addresses import problem_of, proxy_for, redact
from contracts.transaction import FraudReport, Transaction

RETRY_SECONDS: Final = 60
BUSY: Final = frozenset({429, 502, 503, 504})
AWAY: Final = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)


class _Busy(Exception):
    """The scorer answered with a status that is worth retrying."""


@dataclass(frozen=True)
class Answer:
    """The scorer's answer to a payment: decision, score (a probability) and the texts of its reasons."""

    decision: str
    score: float
    reasons: list[str]


def _proxy(url: str) -> str | None:
    try:
        if problem := problem_of(url):
            raise ValueError(f"{redact(url)} is not a valid address: {problem}")
        return proxy_for(url)
    except ValueError as error:
        raise BankError(f"SCORER_URL cannot be used: {error}") from None


class ScorerClient:
    """A persistent connection to the scorer. Methods raise `BankError` if it rejects a request."""

    def __init__(
        self,
        url: str,
        api_key: str,
        stop: stop_base | None = None,
        sleep: Callable[[float], None] = time.sleep,
        waiting: Callable[[RetryCallState], None] | None = None,
    ) -> None:
        """`stop` is when to stop retrying (after 60 s by default), `waiting` is called before each retry."""
        self._url = redact(url)
        self._client = httpx.Client(
            base_url=url, headers={"X-API-Key": api_key}, timeout=10, transport=httpx.HTTPTransport(proxy=_proxy(url))
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type((_Busy, *AWAY)),
            stop=stop or stop_after_delay(RETRY_SECONDS),
            wait=wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1),
            sleep=sleep,
            before_sleep=waiting,
            reraise=True,
        )

    def __enter__(self) -> ScorerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        try:
            return self._client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def score(self, payment: Transaction) -> Answer:
        """Score a payment. Raises `IdConflictError` if its id exists with a different payload."""
        body = payment.model_dump(mode="json") | {"amount": float(payment.amount)}
        answer = self._post("/v1/score", body)
        texts = [reason["text"] for reason in answer.get("reasons", [])]
        return Answer(answer["decision"], answer.get("score", math.nan), texts)

    def report(self, report: FraudReport) -> None:
        """Send a fraud report."""
        self._post("/v1/fraud-reports", {"reports": [report.model_dump(mode="json")]})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            answer: httpx.Response = self._retrying(self._once, path, body)
        except _Busy as error:
            raise BankError(
                f"the scorer at {self._url} keeps returning {error}: see its /readyz for the cause"
            ) from error
        if answer.status_code in (401, 403):
            raise BankError(
                f"the scorer at {self._url} rejects the key in the secret scorer_api_key ({answer.text}): use a key "
                "that the scorer's secret api_keys lists with the scopes score and report"
            )
        if answer.status_code == httpx.codes.CONFLICT:
            raise IdConflictError(f"the scorer at {self._url} already has this id with a different payload: {body}")
        if answer.status_code != httpx.codes.OK:
            raise BankError(
                f"the scorer at {self._url} rejects {body} ({answer.status_code} {answer.text}): check that it runs "
                "this version of the code and that its clock is right"
            )
        return answer.json()

    def _once(self, path: str, body: dict[str, Any]) -> httpx.Response:
        answer = self._client.post(path, json=body)
        if answer.status_code in BUSY:
            raise _Busy(f"{answer.status_code} {answer.text}")
        return answer

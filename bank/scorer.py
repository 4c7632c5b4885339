"""The bank's client of the scorer: one payment, one answer; patient where waiting helps, plain where it does not."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Any, Final

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from bank.errors import BankError
from contracts.transaction import Transaction

PATIENCE_SECONDS: Final = 60
BUSY: Final = frozenset({429, 502, 503, 504})


class _Busy(Exception):
    """The scorer cannot answer now and may soon."""


class Scorer:
    """A connection to the scorer, kept open. Raises `BankError` where it refuses, saying why."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url, headers={"X-API-Key": api_key}, timeout=10)
        self._retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, _Busy | httpx.TransportError)),
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_exponential_jitter(initial=0.1, max=5),
            reraise=True,
        )

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def score(self, payment: Transaction) -> str:
        """The decision on a payment."""
        body = payment.model_dump(mode="json") | {"amount": float(payment.amount)}
        decision: str = self._post("/v1/score", body)["decision"]
        return decision

    def report(self, transaction_id: int, reported_at: datetime) -> None:
        """Report a fraud."""
        report = {"transaction_id": transaction_id, "reported_at": reported_at.isoformat()}
        self._post("/v1/fraud-reports", {"reports": [report]})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            answer: httpx.Response = self._retrying(self._once, path, body)
        except _Busy as error:
            raise BankError(f"the scorer at {self._url} was busy for {PATIENCE_SECONDS} s: {error}") from error
        if answer.status_code in (401, 403):
            raise BankError(f"the scorer refuses the key in the secret scorer_api_key: {answer.text}")
        if answer.status_code != httpx.codes.OK:
            raise BankError(f"the scorer refuses {body}: {answer.status_code} {answer.text}")
        return answer.json()

    def _once(self, path: str, body: dict[str, Any]) -> httpx.Response:
        answer = self._client.post(path, json=body)
        if answer.status_code in BUSY:
            raise _Busy(f"{answer.status_code} {answer.text}")
        return answer

"""The responses of this process: all that may be missing in the decision log, and the latest of the others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from serving.recovery.unconfirmed import Unconfirmed

MAX_CONFIRMED: Final = 20_000
"""Confirmed responses kept: some seconds of them under full load, at 1.3 KB each."""
MAX_BYTES: Final = 128 * 2**20


class RecentResponses:
    """Responses by payment: those not known to be in the decision log, and the newest confirmed ones."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_confirmed: int = MAX_CONFIRMED) -> None:
        """`max_bytes` limits what is unconfirmed, `max_confirmed` the number of confirmed responses."""
        self.unconfirmed = Unconfirmed[int](max_bytes)
        self._max_confirmed = max_confirmed
        self._confirmed: OrderedDict[int, bytes] = OrderedDict()

    def add(self, transaction_id: int, response: bytes) -> None:
        """Keep a response."""
        self.unconfirmed.add(transaction_id, response)

    def get(self, transaction_id: int) -> bytes | None:
        """A payment's response, if it is kept."""
        return self.unconfirmed.get(transaction_id) or self._confirmed.get(transaction_id)

    def confirm(self, ids: Iterable[int]) -> None:
        """These payments are in the log."""
        for number in ids:
            if (response := self.unconfirmed.pop(number)) is not None:
                self._confirmed[number] = response
                self._confirmed.move_to_end(number)
        while len(self._confirmed) > self._max_confirmed:
            self._confirmed.popitem(last=False)

    def all(self) -> list[int]:
        """All payments with a response here, the confirmed ones first, each part oldest first."""
        unconfirmed = self.unconfirmed.oldest()
        again = set(unconfirmed)
        return [*(number for number in self._confirmed if number not in again), *unconfirmed]

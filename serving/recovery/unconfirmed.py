"""What this process accepted and does not know to be in the decision log: Valkey may lose it, however old it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Final, Generic, TypeVar

ENTRY_BYTES: Final = 200
"""What an entry costs in memory, in addition to its value."""
Key = TypeVar("Key")


class Unconfirmed(Generic[Key]):
    """Values by key, oldest first. Beyond `max_bytes` the oldest are dropped, and counted."""

    def __init__(self, max_bytes: int) -> None:
        self.dropped = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, key: Key, value: bytes) -> None:
        """Keep a value, as the newest."""
        self.pop(key)
        self._kept[key] = value
        self._bytes += len(value) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped) + ENTRY_BYTES
            self.dropped += 1

    def pop(self, key: Key) -> bytes | None:
        """A key's value, which is kept no longer; None if there is none."""
        value = self._kept.pop(key, None)
        if value is not None:
            self._bytes -= len(value) + ENTRY_BYTES
        return value

    def confirm(self, keys: Iterable[Key]) -> None:
        """These are in the log."""
        for key in keys:
            self.pop(key)

    def get(self, key: Key) -> bytes | None:
        """A key's value, if it is kept."""
        return self._kept.get(key)

    def oldest(self, limit: int | None = None) -> list[Key]:
        """Keys, oldest first."""
        return list(islice(self._kept, limit))

"""Which connection gives way to a new one: of those without a valid key the oldest, then one of the key with the most.

A client without a key, or with one, must not keep others from connecting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Connection = TypeVar("Connection")


class ConnectionShare(Generic[Connection]):
    """The connections of a worker, by the key of their first accepted request."""

    def __init__(self, is_spare: Callable[[Connection], bool]) -> None:
        """`is_spare` tells whether no request of a connection is being served."""
        self._is_spare = is_spare
        self._strangers: dict[Connection, None] = {}
        """Those without a valid key so far, the oldest first."""
        self._of_key: dict[str, dict[Connection, None]] = {}
        self._keys: dict[Connection, str] = {}

    def opened(self, one: Connection) -> None:
        """A connection begins, without a key."""
        self._strangers[one] = None

    def accepted(self, one: Connection, key: str) -> None:
        """A request with this key was accepted on a connection, unless it is closed already."""
        if one in self._strangers:
            del self._strangers[one]
            self._of_key.setdefault(key, {})[one] = None
            self._keys[one] = key

    def closed(self, one: Connection) -> None:
        """A connection ends, or is to be closed."""
        self._strangers.pop(one, None)
        if key := self._keys.pop(one, ""):
            del self._of_key[key][one]
            if not self._of_key[key]:
                del self._of_key[key]

    def is_stranger(self, one: Connection) -> bool:
        """Whether a connection had no valid key yet."""
        return one in self._strangers

    def gives_way(self, new: Connection, most: int) -> Connection:
        """The connection to close in place of a new one: the new one if no other may be closed.

        Of the key with the most connections a spare one; any if it has more than half of `most`.
        """
        oldest = next(iter(self._strangers), new)
        largest = max(self._of_key.values(), key=len, default={})
        has_most = len(largest) > most // 2
        # A few without a key may be the first connections of other keys, whose requests are still to come.
        if oldest is not new and not (has_most and len(self._strangers) <= most // 10):
            return oldest
        if spare := next(filter(self._is_spare, largest), None):
            return spare
        if oldest is not new:
            return oldest
        if has_most:
            return next(iter(largest))
        return next(filter(self._is_spare, self._keys), new)

"""Which clients to give up because they do not read their responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Generic, TypeVar

READ_BYTES: Final = 64 * 1024
"""What a client must read of a response within a time, as long as some of it is in no buffer of the network yet."""
MAX_UNREAD_BYTES: Final = 64 * 2**20
"""Bytes of all responses that clients may leave unread, outside of the system's buffers."""
Connection = TypeVar("Connection")


class UnreadResponses(Generic[Connection]):
    """Remembers since when so many bytes were left to read of each connection."""

    def __init__(self) -> None:
        self._since: dict[Connection, tuple[float, int]] = {}

    def given_up(self, left: Mapping[Connection, int], now: float, seconds: float) -> Iterator[tuple[Connection, str]]:
        """The connections to close and why: of all, with the bytes that each has left to read, the time, and how long
        each may take for `READ_BYTES`.
        """
        self._since = {one: self._since_when(one, size, now) for one, size in left.items() if size}
        together = sum(left.values())
        # The slowest are those with the most: none that has read enough since the last time.
        for one in sorted(self._since, key=lambda one: -left[one]):
            since, _ = self._since[one]
            if now - since >= seconds:
                yield one, f"a response was not read within {seconds} s"
            elif together > MAX_UNREAD_BYTES and since < now:
                yield one, f"more than {MAX_UNREAD_BYTES} bytes of responses were not read"
            else:
                continue
            together -= left[one]

    def _since_when(self, one: Connection, size: int, now: float) -> tuple[float, int]:
        since = self._since.get(one)
        if since is None or not since[1] - READ_BYTES < size <= since[1]:
            # It read enough, or more was written, which uvicorn does only once nearly all before was read.
            return now, size
        return since

"""Read request bodies within limits: only where a key is needed, each up to a size, and all together up to a sum.

FastAPI's own limit answers in plain text; every error of the scorer is JSON (docs/decisions/0023-body-limit.md).
"""

from __future__ import annotations

from typing import Final

from starlette.types import Message, Receive, Scope

from serving.middleware.body_format import declared_length, reject_unreadable
from serving.middleware.refusals import RefusalLog, Rejected

MAX_BODIES: Final = 16
"""Bodies of the largest size that may be under way at the same time, in one worker."""
SMALL_BYTES: Final = 64 * 1024
"""Bodies up to this are always read: single payments must not wait for batches."""
LARGE_BODIES: Final = ("/v1/score/batch", "/v1/fraud-reports")
"""The paths that take a larger body; everywhere else it is one payment at most."""
NO_BODY: Final = {"type": "http.request", "body": b"", "more_body": False}


class BodyLimit:
    """Bodies above their limit are rejected with 413, and all with 503 while `MAX_BODIES * max_bytes` are under way.

    The limit is `max_bytes` on the paths of `LARGE_BODIES` and `SMALL_BYTES` elsewhere. Bodies that are compressed or
    not UTF-8 are rejected with 415.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._under_way = 0
        self._refusals = RefusalLog()

    async def read(self, scope: Scope, receive: Receive, counted: list[int]) -> Message:
        """The whole body as one message, a disconnect message unchanged; `counted` receives the sizes of its pieces.

        They count until they are given to `release`. Raises `Rejected`.
        """
        pieces: list[bytes] = []
        most = self._max_bytes if scope["path"] in LARGE_BODIES else min(SMALL_BYTES, self._max_bytes)
        if declared_length(scope["headers"]) > most:
            raise _too_large(most)
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            counted.append(len(pieces[-1]))
            self._under_way += len(pieces[-1])
            if size > most:
                raise _too_large(most)
            if self._under_way > MAX_BODIES * self._max_bytes and size > SMALL_BYTES:
                raise self._too_many(scope)
            if not message.get("more_body", False):
                body = b"".join(pieces)
                reject_unreadable(body)
                return {"type": "http.request", "body": body, "more_body": False}

    def release(self, counted: list[int]) -> None:
        """These pieces are no longer under way."""
        self._under_way -= sum(counted)

    def _too_many(self, scope: Scope) -> Rejected:
        detail = f"bodies of {MAX_BODIES * self._max_bytes} bytes are under way: retry"
        self._refusals.add(503, detail, scope["client"][0] if scope.get("client") else "")
        return Rejected(503, detail, {"Retry-After": "1"})


def _too_large(most: int) -> Rejected:
    return Rejected(413, f"the body is larger than {most} bytes: send it in parts")

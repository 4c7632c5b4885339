"""Read request bodies within limits: only where a key is needed, each up to a size, and all together up to a sum.

FastAPI's own limit answers in plain text; every error of the scorer is JSON (docs/decisions/0023-body-limit.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Receive, Scope

from serving.errors import RateExceededError
from serving.fair_queuing import CALLER, FairShare
from serving.middleware.auth import MOST_ITEMS, charge_items
from serving.middleware.body_format import declared_length, reject_unreadable
from serving.middleware.rejections import Rejected, RejectionLog

MAX_BODIES: Final = 16
"""Bodies of the largest size that may be under way at the same time, in one worker."""
SMALL_BYTES: Final = 64 * 1024
"""Bodies up to this are always read: single payments must not wait for batches."""
LARGE_BODIES: Final[Mapping[str, str]] = {"/v1/score/batch": "transactions", "/v1/fraud-reports": "reports"}
"""The paths that take a larger body, and what they take; everywhere else it is one payment at most."""
ITEM_BYTES: Final = 1_024
"""A large body counts at least one item for each of these: reading white space is work too. An item needs a quarter."""
NO_BODY: Final = {"type": "http.request", "body": b"", "more_body": False}


class BodyLimit:
    """Bodies above their limit are rejected with 413, and large ones with 503 while too many are under way.

    The limit is `max_bytes` on the paths of `LARGE_BODIES` and `SMALL_BYTES` elsewhere. Large bodies may take
    `MAX_BODIES * max_bytes` together, and those of one key as much of that as they leave free. Bodies that are
    compressed or not UTF-8 are rejected with 415, and those that count more than their key's rate allows with 429, as
    soon as that is known.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._under_way = FairShare(MAX_BODIES * max_bytes)
        self._rejections = RejectionLog()

    async def read(self, scope: Scope, receive: Receive, counted: list[int]) -> Message:
        """The whole body as one message, a disconnect message unchanged; `counted` receives what it takes of the total.

        It counts until it is given to `release`. Raises `Rejected`.
        """
        pieces: list[bytes] = []
        most = self._max_bytes if scope["path"] in LARGE_BODIES else min(SMALL_BYTES, self._max_bytes)
        declared = declared_length(scope["headers"])
        if declared > most:
            raise _too_large(most)
        if declared > ITEM_BYTES:
            await _charge(scope, declared)
        size = taken = charged = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > most:
                raise _too_large(most)
            if size > SMALL_BYTES:
                if size - charged > SMALL_BYTES:
                    # Not for each piece: counting is a round trip.
                    await _charge(scope, size)
                    charged = size
                if size > taken and not self._under_way.take(CALLER.get(), size - taken):
                    raise self._too_many(scope)
                counted.append(size - taken)
                taken = size
            if not message.get("more_body", False):
                body = b"".join(pieces)
                reject_unreadable(body)
                return {"type": "http.request", "body": body, "more_body": False}

    def release(self, counted: list[int]) -> None:
        """This body is no longer under way."""
        if counted:
            self._under_way.give_back(CALLER.get(), sum(counted))

    def _too_many(self, scope: Scope) -> Rejected:
        detail = f"bodies of {self._under_way.used} bytes are under way, too many of them with this key: retry"
        self._rejections.add(503, detail, scope["client"][0] if scope.get("client") else "")
        return Rejected(503, detail, {"Retry-After": "1"})


def _too_large(most: int) -> Rejected:
    return Rejected(413, f"the body is larger than {most} bytes: send it in parts")


async def _charge(scope: Scope, size: int) -> None:
    """Count so many bytes of a large body against its key's rate before they are read, parsed or kept.

    A small one is only rejected here if no rate allows it. Raises `Rejected`.
    """
    most = scope.get(MOST_ITEMS)
    what = LARGE_BODIES.get(scope["path"])
    if most is not None and what and (size > SMALL_BYTES or size // ITEM_BYTES > most):
        try:
            await charge_items(scope, size // ITEM_BYTES, what)
        except RateExceededError as error:
            raise Rejected(429, str(error), error.headers) from error

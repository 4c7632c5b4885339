"""Read request bodies within limits: only where a key is needed, each up to a size, and all together up to a sum.

FastAPI's own limit answers in plain text; every error of the scorer is JSON (docs/decisions/0023-body-limit.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RateExceededError
from serving.fairness import CALLER, FairShare
from serving.middleware.api_keys import is_protected
from serving.middleware.auth import MOST_ITEMS, charge_items
from serving.middleware.body_format import UnreadableBodyError, declared_length, reject_unreadable
from serving.middleware.refusals import RefusalLog

MAX_BODIES: Final = 16
"""Bodies of the largest size that may be under way at the same time, in one worker."""
SMALL_BYTES: Final = 64 * 1024
"""Bodies up to this are always read: single payments must not wait for batches."""
LARGE_BODIES: Final[Mapping[str, str]] = {"/v1/score/batch": "transactions", "/v1/fraud-reports": "reports"}
"""The paths that take a larger body, and what they take; everywhere else it is one payment at most."""
ITEM_BYTES: Final = 1_024
"""A large body counts at least one item for each of these: reading white space is work too. An item needs a quarter."""
NO_BODY: Final = {"type": "http.request", "body": b"", "more_body": False}


class TooLargeError(Exception):
    """One body is too large; `most` is its limit in bytes."""

    def __init__(self, most: int) -> None:
        self.most = most


class TooManyError(Exception):
    """All large bodies under way, or those of one key, are too large together."""


class BodyLimitMiddleware:
    """ASGI middleware: 413 for a body above its limit, 503 while large ones of `MAX_BODIES * max_bytes` are under way.

    One key's may take as much of that as they leave free. 415 for a body that is compressed or not UTF-8, 429 for one
    that counts more than its key's rate allows, as soon as that is known.

    The limit is `max_bytes` on the paths of `LARGE_BODIES` and `SMALL_BYTES` elsewhere. The application receives the
    body as one message. Paths that need no key use no body, so theirs is not read.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._under_way = FairShare(MAX_BODIES * max_bytes)
        self._refusals = RefusalLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counted: list[int] = []
        try:
            first = await self._read(scope, receive, counted) if is_protected(scope["path"]) else NO_BODY
            if first["type"] == "http.disconnect":
                # There is nobody to answer.
                return
            waiting: list[Message] = [first]

            async def replay() -> Message:
                return waiting.pop() if waiting else await receive()

            await self._app(scope, replay, send)
        except TooLargeError as error:
            detail = f"the body is larger than {error.most} bytes: send it in parts"
            await JSONResponse({"detail": detail}, status_code=413)(scope, receive, send)
        except TooManyError:
            detail = f"bodies of {self._under_way.used} bytes are under way, too many of them with this key: retry"
            self._refusals.add(503, detail, scope["client"][0] if scope.get("client") else "")
            busy = JSONResponse({"detail": detail}, status_code=503, headers={"Retry-After": "1"})
            await busy(scope, receive, send)
        except RateExceededError as error:
            told = JSONResponse({"detail": str(error)}, status_code=429, headers=error.headers)
            await told(scope, receive, send)
        except UnreadableBodyError as error:
            told = JSONResponse({"detail": str(error)}, status_code=error.status, headers=error.headers)
            await told(scope, receive, send)
        finally:
            # Until the response: a batch may wait for its turn, and is in memory meanwhile.
            if counted:
                self._under_way.give_back(CALLER.get(), sum(counted))

    async def _read(self, scope: Scope, receive: Receive, counted: list[int]) -> Message:
        """The whole body as one message, a disconnect message unchanged; `counted` receives what it takes of the total.

        Raises `TooLargeError`, `TooManyError`, `RateExceededError` or `UnreadableBodyError`.
        """
        pieces: list[bytes] = []
        most = self._max_bytes if scope["path"] in LARGE_BODIES else min(SMALL_BYTES, self._max_bytes)
        declared = declared_length(scope["headers"])
        if declared > most:
            raise TooLargeError(most)
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
                raise TooLargeError(most)
            if size > SMALL_BYTES:
                if size - charged > SMALL_BYTES:
                    # Not for each piece: counting is a round trip.
                    await _charge(scope, size)
                    charged = size
                if not self._under_way.take(CALLER.get(), size - taken):
                    raise TooManyError
                counted.append(size - taken)
                taken = size
            if not message.get("more_body", False):
                body = b"".join(pieces)
                reject_unreadable(body)
                return {"type": "http.request", "body": body, "more_body": False}


async def _charge(scope: Scope, size: int) -> None:
    """Count so many bytes of a large body against its key's rate before they are read, parsed or kept.

    A small one is only rejected here if no rate allows it. Raises `RateExceededError`.
    """
    most = scope.get(MOST_ITEMS)
    what = LARGE_BODIES.get(scope["path"])
    if most is not None and what and (size > SMALL_BYTES or size // ITEM_BYTES > most):
        await charge_items(scope, size // ITEM_BYTES, what)

"""The errors of the scorer that a caller or an operator can meet."""

from __future__ import annotations


class SettingsError(Exception):
    """A setting or a secret is missing or invalid; the message names it and says what to do."""


class NotReadyError(Exception):
    """No payment can be scored now; the message says what is missing."""


class OnlineStoreUnavailableError(NotReadyError):
    """The online store answers, but this code cannot use it, or not yet; the message says why."""


class OverloadedError(NotReadyError):
    """There is too much to do: the stores are nearly full, or too many requests wait; the message says which."""


class IdempotencyConflictError(Exception):
    """A transaction id already exists with a different payload."""


class RegistryError(Exception):
    """The model registry did not answer as expected; worth retrying."""


class RateExceededError(Exception):
    """An API key is over its rate; `wait` is in whole seconds, None if waiting does not help."""

    def __init__(self, message: str, wait: int | None) -> None:
        super().__init__(message)
        self.headers = {} if wait is None else {"Retry-After": str(wait)}

"""API keys: their digests, scopes and rates. `auth.py` checks requests against them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from limits import RateLimitItem, parse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from serving.errors import RateExceededError, SettingsError
from serving.middleware.rate_limits import RateCounter

Scope = Literal["score", "report", "read"]
PROTECTED: Final = "/v1"
SCOPES: Final[tuple[tuple[str, Scope], ...]] = (
    ("/v1/score", "score"),
    ("/v1/fraud-reports", "report"),
    ("/v1/decisions", "read"),
    ("/v1/model", "read"),
)
"""The required scope of each path and the paths under it."""


class ApiKey(BaseModel):
    """A key, stored as its SHA-256 in hexadecimal. `rate` is in payments, like `100/second`, None for no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope]
    rate: str | None = None

    @field_validator("rate")
    @classmethod
    def _can_be_read(cls, rate: str | None) -> str | None:
        if rate is not None:
            try:
                parse(rate)
            except ValueError:
                raise ValueError(f"{rate!r} is not a rate: write it as 100/second") from None
        return rate


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of the secret `api_keys`. Raises `SettingsError`, naming the key's index and field."""
    try:
        keys = TypeAdapter(tuple[ApiKey, ...]).validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"the secret api_keys is not a JSON list of keys ({wrong}): correct it") from None
    if not keys:
        raise SettingsError("the secret api_keys holds no key, so every request would be rejected: add one")
    return keys


def scope_of(path: str) -> Scope | None:
    """The required scope of a path, None if it has none."""
    return next((scope for prefix, scope in SCOPES if path == prefix or path.startswith(f"{prefix}/")), None)


def is_protected(path: str) -> bool:
    """Whether a path needs a key."""
    return path == PROTECTED or path.startswith(f"{PROTECTED}/")


class ApiKeys:
    """Finds keys, and counts the payments of those with a rate limit; a request without a payment counts as one."""

    def __init__(self, keys: Sequence[ApiKey], counter: RateCounter) -> None:
        self._counter = counter
        self._keys: tuple[ApiKey, ...] = ()
        self._rates: dict[str, RateLimitItem] = {}
        self.replace(keys)

    def replace(self, keys: Sequence[ApiKey]) -> bool:
        """Accept these keys and no others; returns whether they differ from the ones before."""
        differs = self._keys != tuple(keys)
        self._keys = tuple(keys)
        self._rates = {key.sha256: parse(key.rate) for key in keys if key.rate}
        return differs

    def find(self, presented: bytes) -> ApiKey | None:
        """The presented key, None if unknown. Every digest is compared, so that the timing reveals nothing."""
        digest = hashlib.sha256(presented).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found

    async def charge(self, key: ApiKey) -> None:
        """Count one payment, or one other request, against the key's rate. Raises `RateExceededError`."""
        rate = self._rates.get(key.sha256)
        if rate is not None and (wait := await self._counter.seconds_to_wait(rate, key.sha256)):
            raise RateExceededError(f"rate limit exceeded: the key {key.name!r} allows {key.rate}", wait)

    def most_items(self, key: ApiKey) -> int | None:
        """The most payments or reports that the key's rate allows in one request, None for no limit."""
        rate = self._rates.get(key.sha256)
        return None if rate is None else rate.amount

    async def charge_rest(self, key: ApiKey, items: int, counted: int, what: str) -> None:
        """Count the items of a batch of which so many are `counted` already. Raises `RateExceededError`."""
        rate = self._rates.get(key.sha256)
        if rate is None:
            return
        told = f"rate limit exceeded: the body counts as {items:,} {what}, and the key {key.name!r} allows {key.rate}"
        if items > rate.amount:
            raise RateExceededError(f"{told}: send at most {rate.amount:,} in one request", None)
        if wait := await self._counter.seconds_to_wait(rate, key.sha256, items - counted):
            raise RateExceededError(told, wait)

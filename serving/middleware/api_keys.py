"""API keys: their digests, scopes and rates."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from limits import RateLimitItem, parse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from serving.errors import SettingsError
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
    """A key, stored as its SHA-256 in hexadecimal. `rate` is like `100/second`, None for no limit."""

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
    """Finds keys, and counts the requests of those with a rate limit."""

    def __init__(self, keys: Sequence[ApiKey], counter: RateCounter) -> None:
        self._keys = keys
        self._rates: dict[str, RateLimitItem] = {key.sha256: parse(key.rate) for key in keys if key.rate}
        self._counter = counter

    def find(self, presented: bytes) -> ApiKey | None:
        """The presented key, None if unknown. Every digest is compared, so that the timing reveals nothing."""
        digest = hashlib.sha256(presented).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found

    async def seconds_to_wait(self, key: ApiKey) -> int:
        """Count one request against the key's rate; returns 0 if it is allowed, else the whole seconds to wait."""
        rate = self._rates.get(key.sha256)
        return 0 if rate is None else await self._counter.seconds_to_wait(rate, key.sha256)

"""How often the scorer retries its stores and the registry."""

from __future__ import annotations

from typing import Final

from valkey.asyncio.retry import Retry
from valkey.backoff import ConstantBackoff
from valkey.exceptions import ConnectionError as ValkeyConnectionError

RECOVERY_SECONDS: Final = 0.25
"""Between two attempts to recover the online store."""
OUTBOX_SECONDS: Final = 0.5
"""Between two attempts to relay decisions while Valkey or PostgreSQL is unavailable."""
SHARED_RATES_SECONDS: Final = 5.0
"""How long requests are counted in this process before Valkey, which did not respond, is used again."""
LOG_SECONDS: Final = 2.0
"""How long payments with old ids count as new before the decision log, which did not respond, is queried again."""
POLLS_BEFORE_RETRY: Final = 15
"""A rejected version is retried after so many polls of the registry: a transfer may have damaged its files."""


def valkey_retry() -> Retry:
    """One more attempt after a lost connection: scripts may be repeated, and a restart of Valkey closes connections."""
    return Retry(ConstantBackoff(0.02), 1, supported_errors=(ValkeyConnectionError,))

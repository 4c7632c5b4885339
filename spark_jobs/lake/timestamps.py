"""Conversion from whole seconds, used in computations, to Arrow timestamps, stored in the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from contracts.transaction import epoch_seconds

LAST_SECOND: Final = epoch_seconds(datetime.max.replace(tzinfo=UTC))
"""The last second of the year 9999, which is the contract's latest instant."""

_MICROS = 1_000_000
_TIMESTAMP = pa.timestamp("us", tz="UTC")


def to_timestamps(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Seconds since 1970 as timestamps; null if null or outside the years 1 to 9999."""
    first = epoch_seconds(datetime.min.replace(tzinfo=UTC))
    fits = pc.and_(pc.greater_equal(seconds, first), pc.less_equal(seconds, LAST_SECOND))
    kept = pc.if_else(fits, seconds, pa.scalar(None, pa.int64()))
    return pc.multiply(kept, _MICROS).cast(_TIMESTAMP)

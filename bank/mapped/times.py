"""Times: text in ISO 8601 or another format, numbers of units since an origin, or timestamps, as instants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.mapped.problems import Mask, Problem
from bank.mapped.text import as_text, joined, mask_of, plain
from bank.mapped.zones import to_utc
from bank.mapping import Time
from contracts.transaction import MAX_CLOCK_SKEW

ISO: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)?"
    r" ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
OFFSET: Final = r"[0-9]:?[0-9.,]* ?(?:[Zz]|[+-][0-9]{2}:?(?:[0-9]{2})?)$"
WITH_OFFSET: Final = rf"^.{{11,}}{OFFSET}"
WHOLE: Final = r"^-?[0-9]{1,19}$"
FRACTION: Final = r"^-?[0-9]{1,15}\.[0-9]+$"
MICROS: Final = {
    "ns": 0.001,
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}
NUMERIC: Final = 2**62
SKIPPED: Final = "times that the clock skipped (daylight saving), moved by the gap"
REPEATED: Final = "times that the clock repeated (daylight saving), read as the first"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Times:
    """Instants in microseconds since 1970, shape (n,), 0 where there is none."""

    micros: Ints
    problems: list[Problem]
    present: Mask
    notes: dict[str, Mask] = field(default_factory=dict)
    """The times that were read by a stated rule."""


def instants(columns: Sequence[pa.Array], ours: str, written: Time, now: datetime) -> Times:
    """Read times. An offset in the text wins over the map's zone."""
    column = plain(columns[0]) if len(columns) == 1 else joined(columns)
    missing = mask_of(pc.is_null(as_text(column))) if not _is_instant(column.type) else mask_of(pc.is_null(column))
    if _is_instant(column.type):
        micros, valid, local = _of_timestamps(column)
    elif written.unit:
        micros, valid, local = _of_numbers(column, written)
    elif written.format:
        micros, valid, local = _of_format(as_text(column), written.format)
    else:
        micros, valid, local = _of_iso(as_text(column))
    notes: dict[str, Mask] = {}
    if written.zone != "UTC" and (local & valid).any():
        utc, skipped, repeated = to_utc(micros, written.zone)
        micros = np.where(local, utc, micros)
        notes = {SKIPPED: skipped & local & valid, REPEATED: repeated & local & valid}
    problems = _problems(column, ours, micros, valid, missing, written, now)
    return Times(np.where(valid, micros, 0), problems, valid, notes)


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _of_timestamps(column: pa.Array) -> tuple[Ints, Mask, Mask]:
    zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
    kind = pa.timestamp("us", tz="UTC") if zoned else pa.timestamp("us")
    valid = mask_of(pc.is_valid(column))
    micros = pc.cast(column, options=pc.CastOptions(kind, allow_time_truncate=True, allow_time_overflow=True))
    return micros.cast(pa.int64()).fill_null(0).to_numpy(), valid, np.full(len(column), not zoned)


def _of_numbers(column: pa.Array, written: Time) -> tuple[Ints, Mask, Mask]:
    start = int((written.start - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    factor, text = MICROS[written.unit or "s"], as_text(column)
    whole = mask_of(pc.match_substring_regex(text, WHOLE))
    fraction = mask_of(pc.match_substring_regex(text, FRACTION))
    valid = whole | fraction
    floats = pc.if_else(pa.array(valid), text, "0").cast(pa.float64()).to_numpy() * factor
    valid = valid & (np.abs(floats) < NUMERIC - abs(start))
    floats = np.where(valid, floats, 0)
    integers = pc.if_else(pa.array(whole & valid), text, "0").cast(pa.int64()).to_numpy()
    exact = integers // 1_000 if written.unit == "ns" else integers * np.int64(factor)
    # Numbers count from an instant, so no clock changes between: they are not local.
    return start + np.where(whole & valid, exact, np.rint(floats).astype(np.int64)), valid, np.zeros(len(column), bool)


def _of_format(text: pa.Array, layout: str) -> tuple[Ints, Mask, Mask]:
    encoded = text.dictionary_encode()
    distinct = pd.Series(encoded.dictionary.to_pandas(), dtype=object)
    parsed = pd.to_datetime(distinct, format=layout, errors="coerce", utc=True)
    places = pc.fill_null(encoded.indices, -1).to_numpy()
    micros = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    valid = parsed.notna().to_numpy()
    micros, valid = np.append(micros, 0)[places], np.append(valid, False)[places]
    return micros, valid, np.full(len(text), "%z" not in layout)


def _of_iso(text: pa.Array) -> tuple[Ints, Mask, Mask]:
    every = np.ones(len(text), bool)
    try:
        # Twenty times faster, where no time has an offset and none is odd.
        micros = text.cast(pa.timestamp("us")).cast(pa.int64())
    except pa.ArrowInvalid:
        return _of_mixed_iso(text)
    return micros.fill_null(0).to_numpy(), mask_of(micros.is_valid()), every


def _of_mixed_iso(text: pa.Array) -> tuple[Ints, Mask, Mask]:
    fits = mask_of(pc.match_substring_regex(text, ISO))
    parsed = pd.to_datetime(
        pc.if_else(pa.array(fits), pc.replace_substring(text, ",", "."), "1970-01-01").to_pandas(),
        format="ISO8601",
        errors="coerce",
        utc=True,
    )
    valid = fits & parsed.notna().to_numpy()
    micros = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return micros, valid, ~mask_of(pc.match_substring_regex(text, WITH_OFFSET))


def _problems(
    column: pa.Array, ours: str, micros: Ints, valid: Mask, missing: Mask, written: Time, now: datetime
) -> list[Problem]:
    odd = ~valid & ~missing
    latest = int((now + MAX_CLOCK_SKEW).timestamp() * 1_000_000)
    early, late = valid & (micros < 0), valid & (micros > latest)
    absent = f"map {ours} to a column that always has a value"
    return [
        Problem(f"{ours}: missing", ours, missing, absent),
        Problem(f"{ours}: not a time", ours, odd, _remedy(column, odd, written)),
        Problem(f"{ours}: before 1970", ours, early, _other_unit(column, early, written)),
        Problem(f"{ours}: in the future", ours, late, _other_unit(column, late, written)),
    ]


def _first(column: pa.Array, rows: Mask) -> str:
    return str(column[int(np.argmax(rows))].as_py()).strip() if rows.any() else ""


def _remedy(column: pa.Array, odd: Mask, written: Time) -> str:
    if not odd.any():
        # Trying the known formats takes longer than reading a table.
        return ""
    text = _first(column, odd)
    if re.fullmatch(WHOLE, text) and not written.format:
        unit = likely_unit(int(text))
        return f'write unit = "{unit}" below [time], and origin = "2019-01-01" if it does not count from 1970'
    if written.format:
        return f'it is not in the format "{written.format}": change format below [time]'
    if written.unit:
        return "it is not a number: remove unit below [time], or write format"
    guesses = likely_formats([text])
    return (
        f'write format = "{guesses[0]}" below [time]'
        if guesses
        else "write its format below [time], as %d.%m.%Y %H:%M:%S"
    )


def _other_unit(column: pa.Array, rows: Mask, written: Time) -> str:
    text = _first(column, rows)
    if re.fullmatch(WHOLE, text) and written.unit and not written.origin:
        unit = likely_unit(int(text))
        if unit != written.unit:
            year = 1970 + int(text) * MICROS[written.unit] / MICROS["day"] / 365.25
            return f'in unit = "{written.unit}" it is the year {year:,.0f}: write unit = "{unit}" below [time]'
    return "correct the time, or zone, unit and origin below [time]"


def likely_unit(number: int) -> str:
    """The unit in which a number is most likely an instant of our time, counted from 1970."""
    for unit, least in (("ns", 10**17), ("us", 10**14), ("ms", 10**11), ("s", 10**8)):
        if abs(number) >= least:
            return unit
    return "s" if abs(number) > 100_000 else "hour"


FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %I:%M %p",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d-%H.%M.%S.%f",
    "%Y-%m-%d %H.%M.%S",
)


def likely_formats(texts: Sequence[str]) -> list[str]:
    """The known formats that all texts have, the likeliest first."""
    return [layout for layout in FORMATS if all(_has_format(text, layout) for text in texts)]


def _has_format(text: str, layout: str) -> bool:
    try:
        datetime.strptime(text, layout)
    except ValueError:
        return False
    return True

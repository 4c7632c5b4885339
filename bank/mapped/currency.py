"""Amounts in other currencies: converted by a table of dated rates, or rejected."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bank.errors import DataError, one_line
from bank.mapped.problems import Mask, Problem
from bank.mapped.text import as_text
from bank.mapping import Currency
from contracts.transaction import EPOCH, LAST_SECOND

COLUMNS: Final = ("date", "currency", "rate")
BEYOND: Final = Decimal(10**15)
"""Cents beyond every amount that is accepted: an absurd rate must not overflow."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Rates:
    """The rates into the home currency, by currency: their days in order, and the rate from each day on."""

    home: str
    days: dict[str, list[date]]
    rates: dict[str, list[Decimal]]

    def rate(self, currency: str, day: date) -> Decimal | None:
        """The newest rate of a currency on a day; None before the first."""
        place = bisect_right(self.days.get(currency, []), day)
        return self.rates[currency][place - 1] if place else None


def read_rates(currency: Currency, folders: list[Path]) -> Rates:
    """The rates of a map, from a file beside it or beside the data. Raises `DataError`."""
    if currency.rates is None:
        return Rates(currency.home, {}, {})
    path = next((one for folder in folders if (one := folder / Path(currency.rates).expanduser()).is_file()), None)
    if path is None:
        raise DataError(f"there is no file {currency.rates} in {folders[0]}: put the table of rates there")
    rows: dict[str, dict[date, Decimal]] = defaultdict(dict)
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if not set(COLUMNS) <= set(table.fieldnames or ()):
            raise DataError(f"{path} has the columns {table.fieldnames}: name them {', '.join(COLUMNS)}")
        for row in table:
            rows[row["currency"].strip()][_day(row, path, table.line_num)] = _rate(row, path, table.line_num)
    days = {name: sorted(dated) for name, dated in rows.items()}
    return Rates(currency.home, days, {name: [rows[name][day] for day in known] for name, known in days.items()})


def _day(row: dict[str, str], path: Path, line: int) -> date:
    try:
        return date.fromisoformat(row["date"].strip())
    except ValueError as error:
        raise DataError(f"{path}, line {line}, date: {one_line(error)}: write it as 2024-01-31") from error


def _rate(row: dict[str, str], path: Path, line: int) -> Decimal:
    try:
        rate = Decimal(row["rate"].strip())
    except (InvalidOperation, AttributeError):
        rate = Decimal("NaN")
    if not (rate.is_finite() and rate > 0):
        raise DataError(f"{path}, line {line}, rate: {row['rate']} is not a rate: write a number such as 0.92")
    return rate


def to_home(cents: Ints, column: pa.Array, micros: Ints, rates: Rates) -> tuple[Ints, Mask, list[Problem]]:
    """Amounts in the home currency, rounded half to even; which were converted; and those without a rate."""
    codes = np.array(as_text(column).fill_null("").to_pylist(), dtype=object)
    away = codes != rates.home
    converted, missing = cents.copy(), np.zeros(len(cents), bool)
    for row in np.flatnonzero(away):
        # Times out of range have a problem of their own.
        at = EPOCH + timedelta(microseconds=min(max(int(micros[row]), 0), LAST_SECOND * 1_000_000))
        rate = rates.rate(codes[row], at.date())
        missing[row] = rate is None
        if rate is not None:
            home = min(max(int(cents[row]) * rate, -BEYOND), BEYOND)
            converted[row] = int(home.quantize(Decimal(1), ROUND_HALF_EVEN))
    remedy = 'add its rate to the table of rates, or write rates = "rates.csv" below [currency]'
    return converted, away & ~missing, [Problem("currency: no rate", "currency", missing, remedy)]

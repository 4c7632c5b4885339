"""Banks to train on in the shapes of public data sets: frauds with a signal, and each shape's difficult rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.bank.shapes import SHAPES, Payment

DAY = 86_400


@dataclass(frozen=True)
class Quirks:
    """What is special in a shape."""

    encoding: str = "utf-8"
    has_ids: bool = False
    """Payments have ids, so some ids come twice."""
    payers_repeat: bool = True
    unlabelled: float = 0.01
    """The share of payments whose label is not known."""
    huge_amounts: bool = False
    third_decimals: bool = False


QUIRKS = {
    "sparkov": Quirks(encoding="utf-8-sig", has_ids=True),
    "tabformer": Quirks(),
    "paysim": Quirks(payers_repeat=False, huge_amounts=True),
    "s-ffsd": Quirks(unlabelled=0.6),
    "ieee-cis": Quirks(has_ids=True, third_decimals=True),
    "handbook": Quirks(encoding="utf-8-sig", has_ids=True),
}


@dataclass(frozen=True)
class Size:
    """How large a bank is."""

    days: int = 90
    a_day: int = 350
    customers: int = 600
    terminals: int = 120


def write_bank(name: str, folder: Path, start: datetime | None = None, size: Size = Size(), first: int = 0) -> Path:
    """A file of a shape with payments from `start` (the shape's own first day), numbered from `first`."""
    rows = list(shaped_payments(name, start or SHAPES[name].start, size, first))
    return SHAPES[name].write(folder, rows, QUIRKS[name].encoding)


def shaped_payments(name: str, start: datetime, size: Size, first: int = 0) -> Iterator[Payment]:
    """The rows in the order of the file: by time, but one in fifty some hours late."""
    quirks = QUIRKS[name]
    rng = np.random.default_rng(len(name))
    total = size.days * size.a_day
    seconds = np.sort(rng.integers(0, size.days * DAY, total))
    rows = [_with_quirks(paid, row, quirks) for row, paid in enumerate(_plain(rng, start, seconds, size, first))]
    if not quirks.payers_repeat:
        rows = [replace(paid, customer=row if row % 20 else paid.customer) for row, paid in enumerate(rows)]
    if quirks.has_ids:
        rows = _with_repeated_ids(rows, size.a_day)
    written = np.arange(total) + np.where(rng.random(total) < 0.02, size.a_day // 6, 0)
    return (rows[row] for row in np.argsort(written, kind="stable"))


def _plain(
    rng: np.random.Generator, start: datetime, seconds: NDArray[np.int64], size: Size, first: int
) -> Iterator[Payment]:
    """Payments of a bank in which frauds are large amounts, and a terminal that is compromised for four weeks."""
    habits = rng.uniform(500, 6_000, size.customers)
    for row, second in enumerate(seconds.tolist()):
        customer, terminal = int(rng.integers(0, size.customers)), int(rng.integers(0, size.terminals))
        month = second // (28 * DAY)
        fraud = bool((terminal == 7 + month and rng.random() < 0.7) or rng.random() < 0.004)
        cents = int(rng.gamma(2.0, habits[customer])) + 1 + fraud * 20_000
        yield Payment(first + row, start + timedelta(seconds=second), customer, terminal, cents / 100, fraud)


def _with_quirks(paid: Payment, row: int, quirks: Quirks) -> Payment:
    """Refunds, empty amounts and unknown labels, and what else the shape has, by the number of the row."""
    amount = paid.amount
    if amount is not None and row % 97 == 5:
        amount = -amount
    elif row % 501 == 7:
        amount = None
    elif row % 601 == 9 and quirks.huge_amounts:
        amount = 10_000_000.5
    elif amount is not None and row % 10 == 3 and quirks.third_decimals:
        amount = amount + 0.005
    known = not 0 < row * 7_919 % 1_000 <= quirks.unlabelled * 1_000
    return replace(paid, amount=amount, fraud=paid.fraud if known else None)


def _with_repeated_ids(rows: list[Payment], a_day: int) -> list[Payment]:
    """Some rows have the id of the row before, or of one a day or a week earlier."""
    found = list(rows)
    for row in range(7 * a_day + 20, len(rows), 53):
        earlier = (1, a_day, 7 * a_day)[row % 3]
        found[row] = replace(rows[row], number=rows[row - earlier].number)
    return found

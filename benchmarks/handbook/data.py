"""Read a feed's valid payments as arrays, in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.feed import Feed
from bank.progress import progress_of
from benchmarks.handbook.errors import BenchmarkError
from contracts.labels import DAY
from contracts.transaction import MAX_AMOUNT

Ints = NDArray[np.int64]
IDS: Final = ("transaction_id", "customer_id", "terminal_id")


@dataclass(frozen=True)
class Payments:
    """Payments in order of (occurred, transaction_id), each array of shape (n,); seconds since 1970, cents."""

    transaction_id: Ints
    customer_id: Ints
    terminal_id: Ints
    cents: Ints
    occurred: Ints
    fraud: NDArray[np.bool_]

    @property
    def days(self) -> Ints:
        """Each payment's day, in days since 1970-01-01; shape (n,)."""
        return self.occurred // DAY

    def __len__(self) -> int:
        return len(self.occurred)


def read_payments(feed: Feed) -> tuple[Payments, int]:
    """All valid payments of a feed, and the number of ignored rows: invalid ones and repeated ids.

    Raises `DataError` for unreadable data, `BenchmarkError` if no payment is valid.
    """
    total, parts = feed.total(), []
    with progress_of("reading", total) as progress:
        for batch in feed.batches():
            parts.append(_columns(batch.rows.filter(_usable(batch.rows))))
            progress(len(batch.rows))
    if not sum(len(part["occurred"]) for part in parts):
        raise BenchmarkError(f"none of the {total:,} payments is valid: check their ids, amounts and times")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((columns["transaction_id"], columns["occurred"]))
    # As in the lake, the first payment of a repeated id is kept.
    _, first = np.unique(columns["transaction_id"][order], return_index=True)
    order = order[np.sort(first)]
    return Payments(**{name: values[order] for name, values in columns.items()}), total - len(order)


def _usable(rows: pa.Table) -> pa.ChunkedArray:
    """Whether each row meets the contract, except that amounts with fractions of a cent are allowed and rounded."""
    # A missing or future time differs from the payment's time of arrival.
    usable = pc.equal(rows["occurred_at"], rows["arrived_at"])
    for name in IDS:
        usable = pc.and_(usable, pc.greater_equal(rows[name], 0))
    amount = rows["amount"]
    in_range = pc.and_(pc.greater_equal(amount, 0.0), pc.less_equal(amount, float(MAX_AMOUNT)))
    return pc.fill_null(pc.and_(usable, in_range), False)


def _columns(rows: pa.Table) -> dict[str, NDArray[np.generic]]:
    return {
        **{name: rows[name].to_numpy() for name in IDS},
        "cents": np.rint(rows["amount"].to_numpy() * 100).astype(np.int64),
        "occurred": rows["occurred_at"].cast(pa.int64()).to_numpy() // 1_000_000,
        "fraud": pc.fill_null(rows["fraud"], False).to_numpy(),
    }

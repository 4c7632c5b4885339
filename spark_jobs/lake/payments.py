"""Payments of the lake as arrays, without Spark: transaction, customer, terminal, second since 1970 and cents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.days import DayRange
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import Lake
from spark_jobs.quarantine_reasons import REPEATED

IDS: Final = ("transaction_id", "customer_id", "terminal_id")
Columns = dict[str, NDArray[Any]]


def payments_with_ids(lake: Lake, days: DayRange, ids: NDArray[np.int64]) -> Columns:
    """The valid payments of these days that have one of these ids."""
    if not len(ids):
        return _columns(_empty())
    wanted = pc.field("transaction_id").isin(pa.array(ids))
    return _columns(_valid(lake, lake.days_within("clean", days), wanted))


def late_payments(lake: Lake, days: DayRange) -> Columns:
    """The valid payments of these days that arrived after their day."""
    rows = _valid(lake, lake.days_within("clean", days), None)
    return _columns(rows.filter(pc.greater(_day(rows["arrived_at"]), _day(rows["occurred_at"]))))


def repeated_rows(lake: Lake) -> Columns:
    """The rows that were quarantined, on any day, as later ones of their id."""
    names = [*IDS, "occurred_at", "amount"]
    rows = _read(lake, "quarantine", lake.days("quarantine"), names, pc.field("reason") == REPEATED)
    if not rows.num_rows:
        return _columns(_empty())
    # They meet the contract otherwise, so the amounts are whole cents, with any number of zeros.
    cents = np.array([int(Decimal(amount) * 100) for amount in rows["amount"].to_pylist()], dtype=np.int64)
    return _arrays({**{name: rows[name] for name in IDS}, "occurred": rows["occurred_at"]}) | {"cents": cents}


def _valid(lake: Lake, days: Iterable[date], rows: pc.Expression | None) -> pa.Table:
    names = [*IDS, "amount_cents", "occurred_at", "arrived_at"]
    found = _read(lake, "clean", days, names, rows)
    return found if found.num_rows else _empty()


def _read(lake: Lake, table: str, days: Iterable[date], names: list[str], rows: pc.Expression | None) -> pa.Table:
    parts = []
    for day in days:
        path = lake.file(table, day)
        try:
            parts.append(pq.read_table(path, columns=names, filters=rows, partitioning=None))
        except (OSError, pa.ArrowException) as error:
            raise JobError(f"{path} cannot be read as Parquet ({error}): rerun the job that wrote it") from None
    return pa.concat_tables(parts) if parts else pa.table({})


def _columns(rows: pa.Table) -> Columns:
    second = pc.divide(rows["occurred_at"].cast(pa.int64()), 1_000_000)
    return _arrays({**{name: rows[name] for name in IDS}, "occurred": second, "cents": rows["amount_cents"]})


def _arrays(columns: dict[str, pa.ChunkedArray]) -> Columns:
    return {name: column.to_numpy() for name, column in columns.items()}


def _day(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.floor_temporal(instants, unit="day")


def _empty() -> pa.Table:
    instants = pa.array([], pa.timestamp("us", tz="UTC"))
    ids = {name: pa.array([], pa.int64()) for name in (*IDS, "amount_cents")}
    return pa.table({**ids, "occurred_at": instants, "arrived_at": instants})

"""Forget one customer in the lake: each affected day is written again without its rows, and moved into place whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.days import DayRange
from contracts.durable import flush
from contracts.transaction import LAST_SECOND, epoch_seconds
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.schemas import TABLES
from spark_jobs.lake.staged_write import Staged, Staging

_NAMED: Final = "customer_id"
WITH_CUSTOMERS: Final = (*(name for name, schema in TABLES.items() if _NAMED in schema.names and name != "raw"), "raw")
"""The tables that name customers, in the order in which they are erased: `raw` last, since it has every payment,
including for a run that repeats a killed one."""
WITH_PAYMENTS: Final = tuple(name for name in TABLES if name not in WITH_CUSTOMERS)
"""The tables that name only payments, such as fraud reports."""
Place = tuple[int, int, int]
"""A payment: its id, its terminal and its second since 1970."""
Choose = Callable[[pa.Table], Any]
"""Whether each row is erased, as an Arrow array."""


def payments_of(lake: Lake, customer_id: int) -> set[Place]:
    """The customer's payments that could be in the online state."""
    found: set[Place] = set()
    for rows in _columns(lake, "customer_id", "transaction_id", "terminal_id", "occurred_at"):
        mine = rows.filter(_of_customer(customer_id)(rows)).to_pydict()
        places = map(_place, mine["transaction_id"], mine["terminal_id"], mine["occurred_at"])
        found |= {place for place in places if place}
    return found


def own_ids(lake: Lake, customer_id: int) -> pa.Array:
    """The ids of the customer's payments that no other row has: a repeated id's report may be another customer's."""
    mine: set[int] = set()
    for rows in _columns(lake, "customer_id", "transaction_id"):
        mine |= set(rows["transaction_id"].filter(_of_customer(customer_id)(rows)).drop_null().to_pylist())
    wanted = pa.array(sorted(mine), pa.int64())
    shared: set[int] = set()
    for rows in _columns(lake, "customer_id", "transaction_id"):
        others = pc.and_(pc.invert(_of_customer(customer_id)(rows)), _is_in(rows["transaction_id"], wanted))
        shared |= set(rows["transaction_id"].filter(others).to_pylist())
    return pa.array(sorted(mine - shared), pa.int64())


def erase_of_payments(to: Staging, ids: pa.Array) -> dict[str, int]:
    """Remove the fraud reports of these payments, and the like; how many each table had. Raises `JobError`."""

    def choose(rows: pa.Table) -> Any:
        return _is_in(rows["transaction_id"], ids)

    return {table: _erase(to, table, "transaction_id", choose) for table in WITH_PAYMENTS}


def erase_rows(to: Staging, customer_id: int) -> dict[str, int]:
    """Remove the customer's rows; how many each table had. Raises `JobError`."""
    return {table: _erase(to, table, _NAMED, _of_customer(customer_id)) for table in WITH_CUSTOMERS}


def _erase(to: Staging, table: str, column: str, choose: Choose) -> int:
    removed = 0
    for day, rows in _read(to.lake, table, (column,)):
        gone = pc.sum(choose(rows)).as_py() or 0
        if gone:
            _write_without(to, table, day, choose)
            removed += gone
    return removed


def _write_without(to: Staging, table: str, day: date, choose: Choose) -> None:
    """Replace a day of a table by its rows that were not chosen, in their order."""
    whole = pq.read_table(to.lake.file(table, day), partitioning=None)
    left = whole.filter(pc.invert(choose(whole))).combine_chunks()
    staged: list[Staged] = []
    if left.num_rows:
        path = to.folder / f"{table}-{day}-{uuid4().hex}.parquet"
        pq.write_table(left, path, compression="zstd", row_group_size=1 << 20)
        flush(path)
        staged.append(Staged(table, day, left.num_rows, path, {}))
    to.publish(staged, [table], DayRange(day, day), {one.day: one.rows for one in staged})


def _columns(lake: Lake, *names: str) -> Iterator[pa.Table]:
    """These columns of every day of `raw`, as landed, and of `clean`, which may be older."""
    for table in ("raw", "clean"):
        for _, rows in _read(lake, table, names):
            yield rows


def _read(lake: Lake, table: str, columns: tuple[str, ...]) -> Iterator[tuple[date, pa.Table]]:
    for day in lake.days(table):
        path = lake.file(table, day)
        try:
            yield day, pq.read_table(path, columns=list(columns), partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise JobError(
                f"{path} cannot be read as Parquet ({error}): remove it and rerun the job that wrote it"
            ) from None


def _of_customer(customer_id: int) -> Choose:
    return lambda rows: pc.fill_null(pc.equal(rows["customer_id"], pa.scalar(customer_id, pa.int64())), False)


def _is_in(column: pa.ChunkedArray, ids: pa.Array) -> Any:
    return pc.fill_null(pc.is_in(column, value_set=ids), False)


def _place(number: int | None, terminal: int | None, instant: int | datetime | None) -> Place | None:
    """A row's payment, if the row could be a valid one; `instant` is a landed second or a timestamp."""
    if number is None or terminal is None or instant is None:
        return None
    place = number, terminal, instant if isinstance(instant, int) else epoch_seconds(instant)
    return place if min(place) >= 0 and place[2] <= LAST_SECOND else None

"""Write online state: merge each customer's and terminal's recent history into Valkey, from the executors.

Merging keeps what the scorer applied meanwhile and is idempotent, so a killed run can be repeated. The stamp is
written last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from contracts.days import DayRange, first_second
from contracts.labels import DAY
from contracts.online_state import (
    CUSTOMER_KEEP,
    LOCATION,
    TERMINAL_KEEP,
    customer_key,
    pack_entries,
    pack_reported,
    pack_second,
    terminal_key,
)
from contracts.transaction import from_epoch_seconds
from contracts.zones import REBUILD_ALL
from spark_jobs.errors import JobError
from spark_jobs.io.online_store import (
    drop_index_before,
    index_payments,
    merge_histories,
    open_state,
    stamp,
    written_to,
    zone_of_state,
)
from spark_jobs.lake.histories import Columns, by_entity, read_payments, sorted_history, with_reports
from spark_jobs.lake.layout import Lake
from spark_jobs.runner import Result
from spark_jobs.session import run_spark_job
from spark_jobs.settings import Settings

JOB: Final = "write_online_state"
KEEP_DAYS: Final = max(CUSTOMER_KEEP, TERMINAL_KEEP) // DAY
ID_BYTES: Final = 8
WRITTEN: Final = "histories"
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Target:
    """The executors' parameters: where to write, and the bounds of this run. It is serialised, so it has no secrets.

    `floor` is the last second before the payments read, `index_from` the first day to index.
    """

    url: str
    secrets_dir: str
    floor: int
    index_from: date


def write_online_state(spark: SparkSession, settings: Settings, days: DayRange) -> Result:
    """Merge the history up to the last of these days into the state; returns rows in, customers and terminals.

    Raises `JobError`.
    """
    lake = Lake(settings.lake_root)
    lake.need("clean", "validate")
    kept = _kept(days.last)
    rows = lake.rows("clean", lake.days_within("clean", kept))
    rows_in = sum(rows.values())
    if not rows_in:
        raise JobError(f"the lake {lake.root} has no clean payments on {kept}: run validate for these days first")
    print(f"{JOB} {days}: merging {rows_in:,} payments of {kept}", flush=True)
    with open_state(settings.valkey_url, settings.secrets_dir) as client:
        # A run for days before the state's last day must not recreate an index that has been dropped.
        index_from = _kept(max(days.last, written_to(client) or days.last)).first
        before, zone = zone_of_state(client), settings.zone.id
        target = Target(settings.valkey_url, str(settings.secrets_dir.absolute()), _floor(lake, kept), index_from)
        payments = read_payments(spark, lake, rows)
        customers = _write(by_entity(payments, "customer_id", rows_in), write_customers(target))
        reported = with_reports(payments, spark, lake, days.last)
        terminals = _write(by_entity(reported, "terminal_id", rows_in), write_terminals(target))
        drop_index_before(client, index_from)
        stamp(client, days.last, zone)
    print(f"{JOB} {days}: merged {customers:,} customers and {terminals:,} terminals", flush=True)
    if before is not None and before != zone:
        was, now = before.versus(zone)
        print(f"{JOB} {days}: the state was for the zone {was}, now for {now}: {REBUILD_ALL}", flush=True)
    return {"rows_in": rows_in, "customers": customers, "terminals": terminals}


def write_customers(target: Target) -> Callable[[Batches], Batches]:
    """A task that merges the rows of whole customers into Valkey; yields the number of customers."""

    def run(batches: Batches) -> Batches:
        history = sorted_history(batches, "customer_id")
        if history is None:
            return
        with open_state(target.url, target.secrets_dir) as client:
            packed = _histories(history, "customer_id", "amount_cents", customer_key)
            yield _count(merge_histories(client, packed, pack_second(target.floor), CUSTOMER_KEEP))

    return run


def write_terminals(target: Target) -> Callable[[Batches], Batches]:
    """A task that merges the rows of whole terminals into Valkey and indexes them; yields the number of terminals."""

    def run(batches: Batches) -> Batches:
        history = sorted_history(batches, "terminal_id")
        if history is None:
            return
        with open_state(target.url, target.secrets_dir) as client:
            history["value"] = pack_reported(history["amount_cents"], history["reported"])
            packed = _histories(history, "terminal_id", "value", terminal_key)
            merged = merge_histories(client, packed, pack_second(target.floor), TERMINAL_KEEP)
            # After the histories, because a report whose payment is in the index must find it in the history too.
            for day, locations in _locations(history, target.index_from):
                index_payments(client, day, locations)
            yield _count(merged)

    return run


def _kept(last: date) -> DayRange:
    return DayRange(last - timedelta(days=KEEP_DAYS - 1), last)


def _floor(lake: Lake, kept: DayRange) -> int:
    """The last second before the payments read; 0 if the lake has no earlier payments."""
    return kept.start_second - 1 if lake.days("clean")[0] < kept.first else 0


def _write(payments: DataFrame, task: Callable[[Batches], Batches]) -> int:
    return sum(int(row[WRITTEN]) for row in payments.mapInArrow(task, f"{WRITTEN} long").collect())


def _count(histories: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({WRITTEN: pa.array([histories], pa.int64())})


def _histories(history: Columns, entity: str, value: str, key: Callable[[int], str]) -> Iterator[tuple[str, bytes]]:
    """Each entity's key and packed entries; `history` is sorted by entity."""
    entries = pack_entries(history["occurred"], history["transaction_id"], history[value])
    for start, end in _runs(history[entity]):
        yield key(int(history[entity][start])), entries[start:end].tobytes()


def _locations(history: Columns, first: date) -> Iterator[tuple[str, list[tuple[bytes, bytes]]]]:
    """Each day from `first` on with its payments' packed ids and locations."""
    order = np.argsort(history["occurred"], kind="stable")
    order = order[history["occurred"][order] >= first_second(first)]
    occurred = history["occurred"][order]
    ids = history["transaction_id"][order].astype(">i8").tobytes()
    locations = np.empty(len(order), dtype=LOCATION)
    locations["terminal_id"], locations["occurred"] = history["terminal_id"][order], occurred
    locations["cents"] = history["amount_cents"][order]
    packed = list(zip(_pieces(ids, ID_BYTES), _pieces(locations.tobytes(), LOCATION.itemsize), strict=True))
    for start, end in _runs(occurred // DAY):
        yield from_epoch_seconds(int(occurred[start])).date().isoformat(), packed[start:end]


def _pieces(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The start and end of each run of equal values."""
    if len(values):
        bounds = np.flatnonzero(values[1:] != values[:-1]) + 1
        yield from zip([0, *bounds.tolist()], [*bounds.tolist(), len(values)], strict=True)


if __name__ == "__main__":
    sys.exit(run_spark_job(JOB, write_online_state))

"""The earliest fraud report of each payment, as a file that tasks map into memory instead of a broadcast to the JVM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from contracts.labels import NEVER
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.schemas import TABLES, arrow_schema

Batches = Iterator[pa.RecordBatch]
_MICROS = 1_000_000


def write_earliest_reports(lake: Lake, last: date, folder: Path) -> str:
    """Write the second of each payment's earliest report on the days up to `last`; returns the file's path.

    Raises `JobError` for a damaged file of reports.
    """
    files = [str(lake.file("reports", day)) for day in lake.days("reports") if day <= last]
    schema = arrow_schema(TABLES["reports"])
    columns = {"transaction_id": pc.field("transaction_id"), "reported_at": pc.field("reported_at").cast(pa.int64())}
    try:
        rows = ds.dataset(files, schema=schema, format="parquet").to_table(columns, filter=_after_1970())
    except (OSError, pa.ArrowException) as error:
        raise JobError(f"the reports in {lake.root} cannot be read as Parquet ({error}): run ingest again") from None
    earliest = rows.group_by("transaction_id").aggregate([("reported_at", "min")]).sort_by("transaction_id")
    seconds = pc.divide(earliest["reported_at_min"], _MICROS)
    found = pa.table({"transaction_id": earliest["transaction_id"], "reported": seconds}).combine_chunks()
    path = folder / "reports.arrow"
    with pa.ipc.new_file(str(path), found.schema) as writer:
        writer.write_table(found)
    return str(path)


def _after_1970() -> pc.Expression:
    return pc.field("reported_at") >= pa.scalar(0, pa.timestamp("us", tz="UTC"))


def with_reported(batches: Batches, path: str) -> Batches:
    """In a task: the rows with `reported`, the second of the earliest report in the file, `NEVER` without one."""
    with pa.memory_map(path) as file:
        reports = pa.ipc.open_file(file).read_all()
        ids, seconds = (reports[name].to_numpy() for name in ("transaction_id", "reported"))
        for batch in batches:
            reported = _look_up(batch["transaction_id"].to_numpy(), ids, seconds)
            yield batch.append_column("reported", pa.array(reported))


def _look_up(wanted: NDArray[Any], ids: NDArray[Any], seconds: NDArray[Any]) -> NDArray[np.int64]:
    found = np.full(len(wanted), NEVER, dtype=np.int64)
    if len(ids):
        at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        known = ids[at] == wanted
        found[known] = seconds[at[known]]
    return found

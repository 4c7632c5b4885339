"""A terminal and a day with very many payments, in a process of their own whose peak memory is measured."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from contracts.labels import DAY, NEVER
from contracts.zones import UTC
from spark_jobs.build_features import CUSTOMER_COLUMNS, Blocks, terminal_pass, whole_rows
from spark_jobs.lake.blocks import BlockFile, DayGroups, write_blocks
from spark_jobs.lake.staged_write import stage_sorted
from tests.spark_jobs.lakes import FIRST_SECOND

BATCH = 50_000


def peak_mb(what: str, rows: int, folder: str) -> float:
    """The peak memory of this process in MiB, after the work."""
    {"terminal": terminal, "day": day}[what](rows, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def terminal(rows: int, folder: str) -> None:
    """One terminal's payments in 60 days, through its pass and into blocks."""
    groups = DayGroups(tuple(FIRST_SECOND + n * 10 * DAY for n in range(6)))
    (record,) = write_blocks(terminal_pass(FIRST_SECOND)(_terminal(rows)), folder, "terminal_id", groups)
    assert record.num_rows == 1


def _terminal(rows: int) -> Iterator[pa.RecordBatch]:
    chance = np.random.default_rng(0)
    for first in range(0, rows, BATCH):
        ids = np.arange(first, min(first + BATCH, rows))
        occurred = chance.integers(FIRST_SECOND, FIRST_SECOND + 60 * DAY, len(ids))
        reported = np.where(chance.random(len(ids)) < 0.01, occurred + 8 * DAY, NEVER)
        columns = {"transaction_id": ids, "terminal_id": ids * 0, "amount_cents": ids % 10_000, "occurred": occurred}
        yield pa.RecordBatch.from_pydict({**columns, "reported": reported})


def day(rows: int, folder: str) -> None:
    """One day's payments, from blocks of many tasks into its file."""
    groups = DayGroups((FIRST_SECOND,))
    kinds = [(CUSTOMER_COLUMNS, CUSTOMER_FEATURES), (("transaction_id", "occurred"), TERMINAL_FEATURES)]
    found = []
    for ints, floats in kinds:
        written = (write_blocks([part], folder, "entity", groups) for part in _day(rows, ints, floats))
        records = [row for one in written for batch in one for row in batch.to_pylist()]
        found.append([BlockFile(row["path"], row["groups"]) for row in records])
    (record,) = stage_sorted(whole_rows(Blocks(*found), 0, UTC), "features", folder)
    assert record["rows"].to_pylist() == [rows]
    for path in Path(folder).iterdir():
        path.unlink()


def _day(rows: int, ints: tuple[str, ...], floats: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    chance = np.random.default_rng(0)
    for first in range(0, rows, BATCH):
        ids = np.arange(first, min(first + BATCH, rows))
        occurred = FIRST_SECOND + ids * 7_919 % DAY
        columns = dict.fromkeys(ints, ids) | {"occurred": occurred}
        yield pa.RecordBatch.from_pydict(columns | {name: chance.random(len(ids)) for name in floats})


if __name__ == "__main__":
    print(peak_mb(sys.argv[1], int(sys.argv[2]), sys.argv[3]))

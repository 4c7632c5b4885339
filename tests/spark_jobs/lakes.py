"""Small data sets written directly into a lake, and their features by slow, literal definitions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.days import first_second
from contracts.labels import DAY, NEVER
from contracts.transaction import from_epoch_seconds
from contracts.zones import UTC, Zone
from spark_jobs.build_features import CUSTOMER, TERMINAL, Blocks, customer_pass, terminal_pass, whole_rows
from spark_jobs.lake.blocks import BlockFile, DayGroups, write_blocks
from spark_jobs.lake.schemas import TABLES, arrow_schema
from tests import feature_definitions
from tests.feature_definitions import literal_features

FIRST_DAY = date(2024, 3, 1)
FIRST_SECOND = first_second(FIRST_DAY)


@dataclass(frozen=True)
class Payment:
    """One clean payment; `occurred` and `reported` in seconds since 1970."""

    transaction_id: int
    customer_id: int
    terminal_id: int
    cents: int
    occurred: int
    reported: int | None = None

    @property
    def day(self) -> date:
        return from_epoch_seconds(self.occurred).date()

    @property
    def position(self) -> tuple[int, int]:
        return self.occurred, self.transaction_id


def write_table(root: Path, table: str, rows: Iterable[tuple[date, Mapping[str, object]]]) -> None:
    """Write rows, each with its day, as the table's partitions."""
    days: dict[date, list[Mapping[str, object]]] = {}
    for day, row in rows:
        days.setdefault(day, []).append(row)
    for day, held in days.items():
        path = root / table / f"day={day}" / "part.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(held, schema=arrow_schema(TABLES[table])), path)


def write_clean(root: Path, payments: Iterable[Payment]) -> None:
    """Write payments to `clean`, and their fraud reports to `reports`."""
    held = list(payments)
    write_table(root, "clean", ((p.day, _clean_row(p)) for p in held))
    reported = [(p, from_epoch_seconds(p.reported)) for p in held if p.reported is not None]
    write_table(
        root, "reports", ((at.date(), {"transaction_id": p.transaction_id, "reported_at": at}) for p, at in reported)
    )


def forget_patterns(root: Path) -> None:
    """Drop the pattern column, which older data lacks, from every other day of `reports`."""
    for path in sorted((root / "reports").glob("day=*/part.parquet"))[::2]:
        pq.write_table(pq.read_table(path, partitioning=None).drop_columns("pattern"), path)


def _clean_row(p: Payment) -> dict[str, object]:
    at = from_epoch_seconds(p.occurred)
    return {
        "transaction_id": p.transaction_id,
        "customer_id": p.customer_id,
        "terminal_id": p.terminal_id,
        "amount_cents": p.cents,
        "occurred_at": at,
        "arrived_at": at,
    }


@dataclass(frozen=True)
class RawRow:
    """A row of `raw`, valid by default."""

    source_row: int
    transaction_id: int | None = None
    customer_id: int | None = 1
    terminal_id: int | None = 2
    amount: str | None = "12.50"
    occurred_at: int | None = FIRST_SECOND
    arrived_at: int | None = FIRST_SECOND
    source: str = "a"
    occurred_micros: bool = False

    def row(self) -> dict[str, object]:
        held = self if self.transaction_id is not None else replace(self, transaction_id=self.source_row)
        return {name: getattr(held, name) for name in TABLES["raw"].names}


def write_raw(root: Path, rows: Sequence[tuple[date, RawRow]]) -> None:
    """Write rows of `raw`, each with its day."""
    write_table(root, "raw", ((day, row.row()) for day, row in rows))


def read_rows(root: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a table, day by day, with their `day`."""
    rows: list[dict[str, Any]] = []
    for path in sorted((root / table).glob("day=*/part.parquet")):
        day = date.fromisoformat(path.parent.name.removeprefix("day="))
        rows += [{**row, "day": day} for row in pq.read_table(path, partitioning=None).to_pylist()]
    return rows


def digests(root: Path) -> dict[str, str]:
    """The SHA-256 of every file of a lake's tables, by path, without staging."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "_staging" not in path.parts
    }


def run_passes(payments: Sequence[Payment], start: int, zone: Zone = UTC, days_of_a_group: int = 3) -> pa.Table:
    """Both passes of `build_features`, each as one task, and the rows that their blocks give, group by group."""
    columns = {
        "transaction_id": [p.transaction_id for p in payments],
        "customer_id": [p.customer_id for p in payments],
        "terminal_id": [p.terminal_id for p in payments],
        "amount_cents": [p.cents for p in payments],
        "occurred": [p.occurred for p in payments],
        "reported": [NEVER if p.reported is None else p.reported for p in payments],
    }
    batch = pa.RecordBatch.from_pydict({name: pa.array(values, pa.int64()) for name, values in columns.items()})
    batches = [batch.slice(n, 7) for n in range(0, batch.num_rows, 7)]
    groups = DayGroups(tuple(range(start // DAY * DAY, start + 60 * DAY, days_of_a_group * DAY)))
    with TemporaryDirectory() as folder:
        files = []
        for entity, task in ((CUSTOMER, customer_pass(start)), (TERMINAL, terminal_pass(start))):
            records = [
                row for one in write_blocks(task(iter(batches)), folder, entity, groups) for row in one.to_pylist()
            ]
            files.append([BlockFile(row["path"], row["groups"]) for row in records])
        blocks = Blocks(*files)
        parts = [rows for group in range(len(groups.starts)) for rows in whole_rows(blocks, group, zone)]
    return pa.concat_tables(parts)


def by_definition(payment: Payment, payments: Sequence[Payment]) -> dict[str, float]:
    """The features of one payment by their definitions, from all other payments."""
    found = literal_features([_known(p) for p in payments], _known(payment))
    return {name: float(value) for name, value in found.items()}


def _known(p: Payment) -> feature_definitions.Payment:
    reported = feature_definitions.NEVER if p.reported is None else p.reported
    return feature_definitions.Payment(p.transaction_id, p.customer_id, p.terminal_id, p.cents, p.occurred, reported)

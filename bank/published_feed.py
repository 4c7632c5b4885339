"""Read published payments in the format of the Fraud Detection Handbook: Parquet files or daily pickles in a folder."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from bank.arrivals import with_arrivals
from bank.columns import COLUMNS, SCENARIO, from_pandas, payments_of
from bank.errors import DataError, one_line
from bank.feed import Batch, days_of

FEATURE_MARKS: Final = ("_WINDOW", "TX_DURING_")
"""A file with such a column contains features, not a feed of payments."""
BATCH_ROWS: Final = 250_000


@dataclass(frozen=True)
class PublishedFeed:
    """The payment files of a folder, in order of name; payments dated after `now` have no usable time."""

    folder: Path
    now: datetime

    @cached_property
    def files(self) -> list[Path]:
        """The files with payments. Raises `DataError` if there are none."""
        if not self.folder.is_dir():
            raise DataError(
                f"there is no folder {self.folder}: set DATA= to a folder of Parquet files or daily pickles"
            )
        found = [path for path in sorted(self.folder.iterdir()) if path.suffix in (".parquet", ".pkl")]
        payments = [path for path in found if _holds_payments(path)]
        if not payments:
            raise DataError(
                f"no payments in {self.folder}: put Parquet files or daily pickles (.pkl) there, with the columns "
                + ", ".join(COLUMNS)
            )
        return payments

    def days(self) -> list[date]:
        """The days (of arrival) that have payments. Reads and checks every file once. Raises `DataError`."""
        return self._survey[0]

    def total(self) -> int:
        """The number of payments in the files."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[list[date], int]:
        days: set[date] = set()
        rows = 0
        for batch in self.batches():
            days.update(days_of(batch.rows["arrived_at"]))
            rows += len(batch.rows)
        return sorted(days), rows

    def batches(self) -> Iterator[Batch]:
        """The payments, unmodified and in the files' order; each arrives when it occurs."""
        for source, path in self._sources.items():
            payments = payments_of(_tables(path), path)
            yield from (Batch(source, rows) for rows in with_arrivals(payments, self.now, path))

    @cached_property
    def _sources(self) -> dict[str, Path]:
        """One path for each distinct content, by the name of its source."""
        sources: dict[str, Path] = {}
        for path in self.files:
            first = sources.setdefault(f"file:{_digest(path)}", path)
            if first != path:
                print(f"ignored: {path.name} is a copy of {first.name}", file=sys.stderr)
        return sources


def _holds_payments(path: Path) -> bool:
    if path.suffix == ".pkl":
        return True
    names = _open_parquet(path).schema_arrow.names
    if any(mark in name for name in names for mark in FEATURE_MARKS):
        print(f"ignored: {path.name} contains features, not payments", file=sys.stderr)
        return False
    if not set(COLUMNS) & set(names):
        print(f"ignored: {path.name} has none of the payment columns", file=sys.stderr)
        return False
    return True


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({one_line(error)}): download it again or remove it"
        ) from error


def _tables(path: Path) -> Iterator[pa.Table]:
    if path.suffix == ".pkl":
        from bank.pickle_files import read_frame

        frame = read_frame(path)
        wanted = _columns_to_read([str(name) for name in frame.columns], path)
        yield pa.table({name: from_pandas(frame[name], name, path) for name in wanted})
        return
    file = _open_parquet(path)
    wanted = _columns_to_read(file.schema_arrow.names, path)
    try:
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged ({one_line(error)}): download it again") from error


def _columns_to_read(names: list[str], path: Path) -> list[str]:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(missing)}: add it or rename one of {', '.join(names)}")
    wanted: list[str] = [name for name in (*COLUMNS, SCENARIO) if name in names]
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise DataError(f"{path} has the column {', '.join(twice)} more than once: keep only one")
    return wanted


def _digest(path: Path) -> str:
    """The first 64 bits of the content's SHA-256; short, because every row of the bank and its index stores it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}): make it a readable file or remove it") from error

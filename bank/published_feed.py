"""Read published payments in the format of the Fraud Detection Handbook: Parquet files or daily pickles in a folder."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow as pa

from bank.arrivals import with_arrivals
from bank.columns import COLUMNS, IDS, SCENARIO, payments_of
from bank.data_files import DataFile, data_files
from bank.errors import DataError, one_line
from bank.feed import Batch, days_of
from bank.parquet_files import batches_of, open_parquet

FEATURE_MARKS: Final = ("_WINDOW", "TX_DURING_")
"""A file with such a column contains features, not a feed of payments."""
FROM_FOLDERS: Final = (*IDS, "TX_FRAUD", SCENARIO)
"""Columns whose value may be in the name of a folder, such as `TX_FRAUD=0`, instead of the file."""
BOOLEANS: Final = {"true": "1", "false": "0"}


@dataclass(frozen=True)
class PublishedFeed:
    """The payment files of a folder, in order of name; payments dated after `now` have no usable time."""

    folder: Path
    now: datetime
    _said: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @cached_property
    def files(self) -> list[DataFile]:
        """The files that may contain payments. Raises `DataError` if there are none."""
        found = [file for file in data_files(self.folder) if self._may_have_payments(file)]
        if not found:
            raise DataError(
                f"no payments in {self.folder}: put Parquet files or daily pickles (.pkl) there, with the columns "
                + ", ".join(COLUMNS)
            )
        return found

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
        if not rows:
            raise DataError(f"no payments in {self.folder}: its files have no rows with the columns of payments")
        return sorted(days), rows

    def batches(self) -> Iterator[Batch]:
        """The payments, unmodified and in the files' order; each arrives when it occurs."""
        for source, file in self._sources.items():
            payments = payments_of(self._tables(file), file.path)
            yield from (Batch(source, rows) for rows in with_arrivals(payments, self.now, file.path))

    @cached_property
    def _sources(self) -> dict[str, DataFile]:
        """One file for each distinct content, by the name of its source."""
        sources: dict[str, DataFile] = {}
        for file in self.files:
            first = sources.setdefault(f"file:{_digest(file)}", file)
            if first != file:
                self._ignore(file, f"is a copy of {first.name}")
        return sources

    def _may_have_payments(self, file: DataFile) -> bool:
        # A pickle is read only when it is needed: its columns cannot be known before.
        return file.format == "pickle" or self._has_payments(open_parquet(file.path).schema_arrow.names, file)

    def _has_payments(self, names: Sequence[str], file: DataFile) -> bool:
        if any(mark in name for name in names for mark in FEATURE_MARKS):
            self._ignore(file, "contains features, not payments")
            return False
        if not set(COLUMNS) & set(names):
            self._ignore(file, "has none of the payment columns")
            return False
        return True

    def _ignore(self, file: DataFile, why: str) -> None:
        """Say, once, that a file is left out."""
        if file.name not in self._said:
            self._said.add(file.name)
            print(f"ignored: {file.name} {why}", file=sys.stderr)

    def _tables(self, file: DataFile) -> Iterator[pa.Table]:
        """The columns of payments; tables without rows are left out, because their types say nothing."""
        for table in self._pickled(file) if file.format == "pickle" else _stored(file):
            if len(table):
                yield _with_partitions(table, file)

    def _pickled(self, file: DataFile) -> Iterator[pa.Table]:
        # pandas takes a while to import, and Parquet files do not need it.
        from bank.frame_columns import table_of, with_named_index
        from bank.pickle_files import read_frame

        frame = with_named_index(read_frame(file.path), COLUMNS, file.path)
        names = [str(name) for name in frame.columns]
        if len(frame) and self._has_payments(names, file):
            yield table_of(frame, _columns_to_read(names, file), file.path)


def _stored(file: DataFile) -> Iterator[pa.Table]:
    opened = open_parquet(file.path)
    if opened.metadata.num_rows:
        yield from batches_of(opened, file.path, _columns_to_read(opened.schema_arrow.names, file))


def _columns_to_read(names: list[str], file: DataFile) -> list[str]:
    """The columns of payments that the file has. Raises `DataError` for missing and repeated ones."""
    missing = [name for name in COLUMNS if name not in names and name not in _partitions(file)]
    if missing:
        raise DataError(
            f"{file.path} lacks the column {', '.join(missing)}: add it or rename one of {', '.join(names)}"
        )
    wanted: list[str] = [name for name in (*COLUMNS, SCENARIO) if name in names]
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise DataError(f"{file.path} has the column {', '.join(twice)} more than once: keep only one")
    return wanted


def _with_partitions(table: pa.Table, file: DataFile) -> pa.Table:
    """The table and the columns whose value is in the names of the file's folders."""
    for name, value in _partitions(file).items():
        if name not in table.column_names:
            text = None if value is None else BOOLEANS.get(value.lower(), value)
            table = table.append_column(name, pa.repeat(pa.scalar(text, pa.string()), len(table)))
    return table


def _partitions(file: DataFile) -> dict[str, str | None]:
    return {name: value for name, value in file.partitions.items() if name in FROM_FOLDERS}


def _digest(file: DataFile) -> str:
    """The first 64 bits of the content's SHA-256; short, because every row of the bank and its index stores it.

    Values in the names of folders are content, too.
    """
    try:
        with file.path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
    except OSError as error:
        raise DataError(
            f"{file.path} cannot be read ({one_line(error)}): make it a readable file or remove it"
        ) from error
    for name, value in sorted(_partitions(file).items()):
        digest.update(f"{name}={value}\n".encode())
    return digest.hexdigest()[:16]

"""A feed of payments from files of any form, read by a map."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bank.errors import DataError
from bank.feed import Batch, days_of
from bank.mapped.contents import Content, Contents, by_source, digest_of
from bank.mapped.convert import Converted, Converter, check_columns
from bank.mapped.currency import Rates, read_rates
from bank.mapped.files import DataFile, data_files, unreadable
from bank.mapped.ids import KINDS, ROW_BITS, IdKey
from bank.mapped.problems import Example, Tally
from bank.mapped.readers import Broken, column_names, read_rows
from bank.mapping import ROW, DataMap, closest

BROKEN_ROW = "row: cannot be split into columns"
LARGE = 100 << 20
REMEDY_BROKEN = "correct its quotes and delimiters, or delimiter below [format]"


@dataclass
class Known:
    """What the bank knows: loaded contents, and customers that were erased, whose rows are left out and counted."""

    contents: Contents = field(default_factory=Contents)
    erased: pa.Array = field(default_factory=lambda: pa.array([], pa.int64()))
    left_out: int = 0


@dataclass(frozen=True)
class MappedFeed:
    """The payments of a file or folder; rows that cannot be payments or refunds are rejected and counted.

    `map_path` is named in messages. Payments dated after `now` are rejected. Every file is new until `known`
    has what the bank knows.
    """

    data: Path
    mapping: DataMap
    map_path: Path
    now: datetime
    key: IdKey
    known: Known = field(default_factory=Known, init=False, repr=False, compare=False)

    def days(self) -> list[date]:
        """The days that have payments. Reads every file once. Raises `DataError`, even if no row is a payment."""
        days, tally = self._survey
        if not days:
            reasons = "; ".join(f"{reason} ({number:,})" for reason, number in tally.refused.most_common(3))
            raise DataError(
                f"no row of {self.data} is a payment by {self.map_path}: {reasons or 'it has no rows'}: "
                "`make check-data` shows examples and what to write"
            )
        return days

    def total(self) -> int:
        """The number of payments."""
        return self.tally.payments

    @property
    def tally(self) -> Tally:
        """What became of the rows. Raises `DataError`."""
        return self._survey[1]

    @property
    def labelled(self) -> bool:
        """Whether the map has a column of labels."""
        return self.mapping.columns.fraud is not None

    @property
    def numbered(self) -> bool:
        """Whether payments have no ids, so that they are numbered."""
        return self.mapping.columns.transaction_id == ROW

    def batches(self) -> Iterator[Batch]:
        """The payments in the files' order, with refunds and the hashes of ids; each arrives when it occurs."""
        return self.batches_of(self.sources)

    def batches_of(self, sources: Mapping[str, DataFile]) -> Iterator[Batch]:
        """Those of some of the `sources`."""
        tally = Tally()
        self.known.left_out = 0
        for source, file in sources.items():
            first_id, entry = self.key.first_of_source(source)
            entries = [entry] if self.numbered else []
            for done in self.converted(file, tally, self.key, first_id):
                hashed = pa.concat_tables([done.hashed, *entries])
                entries = []
                yield self._without_erased(Batch(source, done.payments, done.refunds, hashed))

    def converted(
        self, file: DataFile, tally: Tally, key: IdKey | None = None, first_id: int = 0
    ) -> Iterator[Converted]:
        """The rows of a file, table by table. Raises `DataError`."""
        converter = Converter(self.mapping, self.now, self._rates, key)
        wanted = list(dict.fromkeys(name for names in self.mapping.columns.theirs.values() for name in names))
        broken = Broken()
        for rows in read_rows(file, wanted, self.mapping.format, broken):
            if self.numbered and rows.numbers[-1:].max(initial=0) >= 1 << ROW_BITS:
                raise DataError(
                    f"{file.label} has more than {1 << ROW_BITS:,} rows to number: split it into several files"
                )
            yield converter.convert(rows, file.label, tally, first_id)
        if broken.rows:
            examples = [Example(file.label, row + 1, "", "", REMEDY_BROKEN) for row in broken.rows[:3]]
            tally.rows += len(broken.rows)
            tally.refuse(BROKEN_ROW, len(broken.rows), examples)

    @cached_property
    def files(self) -> list[DataFile]:
        """The files that have the mapped columns. Raises `DataError` if none has, or if one lacks only some."""
        needed = set(self.mapping.columns.theirs["customer_id"]) | {self.mapping.columns.amount}
        mapped = {name for names in self.mapping.columns.theirs.values() for name in names}
        found, without = [], []
        for file in data_files(self.data):
            if self._is_rates(file):
                continue
            names = column_names(file, self.mapping.format, mapped)
            missing = check_columns(names, self.mapping)
            if missing and not needed & set(names):
                without.append((file, missing, names))
                continue
            if missing:
                raise self._lacks(file, missing, names)
            self._require_once(file, names)
            found.append(file)
        if not found:
            raise self._lacks(*without[0]) if without else DataError(f"no data in {self.data}: put files there")
        for file, missing, _ in without:
            print(f"ignored: {file.label} has no column {missing[0]}", file=sys.stderr)
        return found

    @property
    def sources(self) -> dict[str, DataFile]:
        """One file for each source, by its name: copies, and earlier states of a file that has grown, are left out."""
        return {source: files[0] for source, files in self._by_source(self.known.contents).items()}

    def require_unchanged(self) -> None:
        """Raise `DataError` for a file that was written to since it was identified: its last row may be half a row."""
        for file, state in self._states.items():
            if _state(file) != state:
                raise DataError(f"{file.label} was written to while it was read: load it again when it is complete")

    @property
    def contents(self) -> list[Content]:
        """The contents of the files, with the names of their sources."""
        self._by_source(self.known.contents)
        return [self.known.contents.known[digest] for digest, _ in self._digests.values()]

    def _by_source(self, known: Contents) -> dict[str, list[DataFile]]:
        return by_source(self._digests, self._used, known)

    @cached_property
    def _used(self) -> frozenset[str]:
        return frozenset(name for names in self.mapping.columns.theirs.values() for name in names)

    @cached_property
    def _states(self) -> dict[DataFile, tuple[int, int]]:
        return {file: _state(file) for file in self.files}

    @cached_property
    def _digests(self) -> dict[DataFile, tuple[str, int]]:
        digests = {file: digest_of(file, self._used) for file in self._states}
        for first, *others in by_source(digests, self._used, Contents()).values():
            for file in others:
                relation = "a copy" if digests[file] == digests[first] else "the beginning"
                print(f"ignored: {file.label} is {relation} of {first.label}", file=sys.stderr)
        return digests

    @cached_property
    def _survey(self) -> tuple[list[date], Tally]:
        days: set[date] = set()
        tally = Tally()
        for file in self.sources.values():
            if (size := file.path.stat().st_size) > LARGE:
                print(f"reading {file.label} ({size >> 20:,} MB) to find its days …", file=sys.stderr)
            for done in self.converted(file, tally):
                days.update(days_of(done.payments["arrived_at"]))
        return sorted(days), tally

    @cached_property
    def _rates(self) -> Rates | None:
        if self.mapping.currency is None:
            return None
        beside = self.data if self.data.is_dir() else self.data.parent
        return read_rates(self.mapping.currency, [self.map_path.parent, beside])

    def _without_erased(self, batch: Batch) -> Batch:
        erased = self.known.erased
        if not len(erased) or batch.refunds is None or batch.hashed is None:
            return batch
        rows, refunds = (_without(table, "customer_id", erased) for table in (batch.rows, batch.refunds))
        self.known.left_out += len(batch.rows) + len(batch.refunds) - len(rows) - len(refunds)
        customers = pc.equal(batch.hashed["kind"], KINDS.index("customer_id"))
        gone = pc.and_(customers, pc.is_in(batch.hashed["id"], erased))
        return Batch(batch.source, rows, refunds, batch.hashed.filter(pc.invert(gone)))

    def _is_rates(self, file: DataFile) -> bool:
        currency = self.mapping.currency
        return currency is not None and currency.rates is not None and file.path.name == Path(currency.rates).name

    def _lacks(self, file: DataFile, missing: list[str], names: list[str]) -> DataError:
        theirs = self.mapping.columns.theirs
        ours = next(ours for ours, columns in theirs.items() if missing[0] in columns)
        shown = ", ".join(names[:30]) + (", …" if len(names) > 30 else "")
        return DataError(
            f'{self.map_path}: [columns] {ours} = "{missing[0]}", but {file.label} has no such column'
            f"{closest(missing[0], names)}: write one of {shown}"
            + (" (one column only: check delimiter below [format])" if len(names) == 1 else "")
        )

    def _require_once(self, file: DataFile, names: list[str]) -> None:
        for theirs in self.mapping.columns.theirs.values():
            for name in theirs:
                if names.count(name) > 1:
                    raise DataError(f"{file.label} has the column {name} more than once: rename one of them")


def _without(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table[column], values)))


def _state(file: DataFile) -> tuple[int, int]:
    """The file's size and the time of its last change. Raises `DataError` for a file that is gone."""
    try:
        found = file.path.stat()
    except OSError as error:
        raise unreadable(file.path, error) from error
    return found.st_size, found.st_mtime_ns

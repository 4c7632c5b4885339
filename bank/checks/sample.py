"""A sample of a file whose map is not known yet: its columns and their first values, as text."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from bank.errors import DataError
from bank.mapped.files import DataFile, data_files, layout_of, open_unpacked
from bank.mapped.readers import Broken, column_names, read_rows
from bank.mapped.text import as_text
from bank.mapping import Format

SAMPLE_ROWS: Final = 2_000
DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Sample:
    """The first rows of a file: the values of each column, without missing ones, and how the file is written."""

    file: DataFile
    columns: dict[str, list[str]]
    types: dict[str, pa.DataType]
    written: dict[str, str]

    @property
    def rows(self) -> int:
        """The number of values of the fullest column."""
        return max(map(len, self.columns.values()), default=0)


def take_sample(data: Path) -> Sample:
    """Read the first rows of the largest file. Raises `DataError`."""
    file = max(data_files(data), key=lambda one: one.path.stat().st_size)
    encoding = _encoding(file.path)
    written = {} if encoding == "utf-8" else {"encoding": encoding}
    if layout_of(file.path, encoding) == "csv" and (mark := _delimiter(file.path, encoding)) != ",":
        written["delimiter"] = mark
    layout = Format.model_validate(written)
    names = column_names(file, layout)
    unique = [name for name in dict.fromkeys(names) if names.count(name) == 1]
    first = next(read_rows(file, unique, layout, Broken()), None)
    if first is None or not len(first.table):
        raise DataError(f"{file.path} has no rows: set DATA to a file with payments")
    head = first.table.slice(0, SAMPLE_ROWS)
    texts = {name: [text for text in _texts(head[name]) if text is not None] for name in unique}
    return Sample(file, texts, {name: head.schema.field(name).type for name in unique}, written)


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    try:
        texts: list[str | None] = as_text(column.combine_chunks()).to_pylist()
    except pa.ArrowException:
        return []
    return texts


def _start(path: Path) -> bytes:
    with open_unpacked(path) as file:
        start: bytes = file.read(1 << 20)
    return start


def _encoding(path: Path) -> str:
    start = _start(path)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start.startswith(b"PAR1"):
        return "utf-8"
    try:
        start.decode()
    except UnicodeDecodeError as error:
        # The end of the start may split a character.
        return "utf-8" if error.start > len(start) - 4 else "cp1252"
    return "utf-8"


def _delimiter(path: Path, encoding: str) -> str:
    """The mark that splits the first lines into the same, largest number of columns."""
    lines = _start(path).decode(encoding, errors="replace").lstrip("\ufeff").splitlines()[:20]

    def columns(mark: str) -> tuple[int, int]:
        try:
            counts = [len(row) for row in islice(csv.reader(lines, delimiter=mark), 20) if row]
        except csv.Error:
            # A field of more than 128 KB.
            return 0, 0
        return (min(counts), counts.count(counts[0])) if counts else (0, 0)

    return max(DELIMITERS, key=columns)

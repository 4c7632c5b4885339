"""Read the mapped columns of a file in tables of bounded size, with the number of each row in the file.

CSV and JSON lines are read as text, so that leading zeros and long numbers stay as they are. Parquet keeps its types.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bank.errors import DataError, one_line
from bank.mapped.files import DataFile, layout_of, open_unpacked, unreadable
from bank.mapping import Format

TABLE_ROWS: Final = 100_000
BLOCK_BYTES: Final = 2 << 20
JSON_ROWS: Final = 20_000


@dataclass(frozen=True)
class Rows:
    """Some rows of a file: their columns by name, and their numbers (the first row is 0)."""

    table: pa.Table
    numbers: NDArray[np.int64]


@dataclass
class Broken:
    """The numbers of the rows that cannot be split into columns or parsed, in order (the first row is 0)."""

    rows: list[int] = field(default_factory=list)

    def numbers(self, first: int, count: int) -> NDArray[np.int64]:
        """The numbers in the file of `count` whole rows, from the `first` whole one."""
        whole = np.arange(first, first + count)
        return whole + np.searchsorted(np.array(self.rows, np.int64) - np.arange(len(self.rows)), whole, side="right")


def column_names(file: DataFile, written: Format, wanted: Collection[str] = ()) -> list[str]:
    """The names of a file's columns, with those of its partition. Raises `DataError`.

    JSON lines have no header: the first ones are read, or as many as it takes to find the `wanted` names.
    """
    layout = layout_of(file.path, written.encoding)
    if layout == "parquet":
        names = _open_parquet(file.path).schema_arrow.names
    elif layout == "json":
        names = _json_names(file.path, written, wanted)
    else:
        names = _csv_names(file.path, written)
    return [*names, *(name for name, _ in file.partition if name not in names)]


def read_rows(file: DataFile, columns: Sequence[str], written: Format, broken: Broken) -> Iterator[Rows]:
    """The rows of a file with these columns; the numbers of broken ones are added to `broken`. Raises `DataError`."""
    inside = [name for name in columns if name not in dict(file.partition)]
    layout = layout_of(file.path, written.encoding)
    readers: dict[str, Callable[[], Iterator[pa.Table]]] = {
        "parquet": lambda: _parquet_tables(file.path, inside),
        "json": lambda: _json_tables(file.path, inside, written, broken),
        "csv": lambda: _csv_tables(file.path, inside, written, broken),
    }
    first = 0
    for table in _grouped(readers[layout]()):
        rows = len(table)
        whole = {name: table[name] for name in inside} | {
            name: pa.array([value] * rows, pa.string()) for name, value in file.partition if name in columns
        }
        yield Rows(pa.table(whole).combine_chunks(), broken.numbers(first, rows))
        first += rows


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Small tables joined to tables of about `TABLE_ROWS`."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= TABLE_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _csv_names(path: Path, written: Format) -> list[str]:
    if written.header is not None:
        return list(written.header)
    try:
        with open_unpacked(path) as stream:
            text = codecs.getincrementaldecoder(_python_name(written.encoding))().decode(stream.read(1 << 20))
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=written.delimiter), [])
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, written) from error
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise unreadable(path, error) from error
    return names


def _lines(stream: Any) -> Iterator[bytes]:
    while block := stream.read(1 << 16):
        yield block


def _csv_tables(path: Path, columns: list[str], written: Format, broken: Broken) -> Iterator[pa.Table]:
    header = 0 if written.header is not None else 1

    def skip(row: Any) -> str:
        broken.rows.append(int(row.number or 0) - 1 - header)
        return "skip"

    names = list(written.header) if written.header is not None else None
    read = pyarrow.csv.ReadOptions(
        use_threads=False, block_size=BLOCK_BYTES, encoding=_arrow_name(written.encoding), column_names=names
    )
    parse = pyarrow.csv.ParseOptions(delimiter=written.delimiter, newlines_in_values=True, invalid_row_handler=skip)
    convert = pyarrow.csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.string()),
        strings_can_be_null=True,
        null_values=["", *written.missing],
    )
    try:
        with open_unpacked(path) as stream, pyarrow.csv.open_csv(stream, read, parse, convert) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if "UTF8" in str(error) or isinstance(error, UnicodeDecodeError):
            raise _wrong_encoding(path, written) from error
        raise unreadable(path, error) from error


def _python_name(encoding: str) -> str:
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _arrow_name(encoding: str) -> str:
    return "utf8" if encoding in ("utf-8", "utf-8-sig", "ascii") else encoding


def _wrong_encoding(path: Path, written: Format) -> DataError:
    other = "latin-1" if written.encoding.startswith("utf-8") else "utf-8"
    return DataError(
        f'{path} is not in the encoding "{written.encoding}": write encoding = "{other}" below [format] in the map'
    )


def _json_names(path: Path, written: Format, wanted: Collection[str]) -> list[str]:
    names: dict[str, None] = {}
    for number, (_, row) in enumerate(_json_rows(path, written)):
        names.update(dict.fromkeys(_flat_names(row or {})))
        if number >= 1_000 and set(wanted) <= names.keys():
            break
    return list(names)


def _flat_names(row: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _flat_names(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _json_tables(path: Path, columns: list[str], written: Format, broken: Broken) -> Iterator[pa.Table]:
    schema = pa.schema([(name, pa.string()) for name in columns])
    missing = {"", *written.missing}
    waiting: list[dict[str, str | None]] = []
    for number, row in _json_rows(path, written):
        if row is None:
            broken.rows.append(number)
            continue
        values = {name: _text_of(row, name) for name in columns}
        waiting.append({name: None if value in missing else value for name, value in values.items()})
        if len(waiting) == JSON_ROWS:
            yield pa.Table.from_pylist(waiting, schema)
            waiting.clear()
    yield pa.Table.from_pylist(waiting, schema)


def _json_rows(path: Path, written: Format) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The number and the object of each line that is not blank; None for a line that is not an object."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    try:
        with open_unpacked(path) as stream:
            for number, line in enumerate(line for line in _split(stream, written.encoding) if line.strip()):
                yield number, _object(decoder, line)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, written) from error
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _split(stream: IO[bytes], encoding: str) -> Iterator[str]:
    rest = ""
    for text in codecs.iterdecode(_lines(stream), _python_name(encoding)):
        *lines, rest = (rest + text).split("\n")
        yield from lines
    yield rest


def _object(decoder: json.JSONDecoder, line: str) -> dict[str, Any] | None:
    try:
        value = decoder.decode(line.strip())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text_of(row: dict[str, Any], name: str) -> str | None:
    """A value as text; `merchant.id` is the value `id` of the object `merchant`."""
    value: Any = row.get(name)
    if value is None and "." in name and name not in row:
        value = row
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _parquet_tables(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    file = _open_parquet(path)
    for name in columns:
        kind = file.schema_arrow.field(name).type
        if pa.types.is_nested(kind):
            raise DataError(f"the column {name} of {path} has the type {kind}: map a column with single values")
    try:
        for batch in file.iter_batches(TABLE_ROWS, columns=columns):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged ({one_line(error)}): download it again") from error


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        # Microseconds: INT96 in nanoseconds overflows outside the years 1677 to 2262.
        return pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error

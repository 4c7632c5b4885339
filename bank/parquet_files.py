"""Open and read Parquet files of any writer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bank.errors import DataError, one_line

MAGIC: Final = b"PAR1"
"""The first bytes of every Parquet file that is not encrypted."""
BATCH_ROWS: Final = 250_000
MICROS: Final = 1_000_000


def starts_as_parquet(path: Path) -> bool:
    """Whether a regular file begins as Parquet, whatever it is called; false if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file. Times of the old type INT96 are read in microseconds: nanoseconds end in the year 2262.

    Raises `DataError`, naming the file.
    """
    return _open(path, "us")


def batches_of(file: pq.ParquetFile, path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read an opened file in pieces of up to `BATCH_ROWS` rows. Raises `DataError`, naming the file."""
    old_times = [name for name in columns if name in _int96_columns(file)]
    wholes = _tables(_open(path, "s"), path, old_times) if old_times else repeat(pa.table({}))
    row = 0
    for table, whole in zip(_tables(file, path, columns), wholes, strict=False):
        for name in old_times:
            _check_old_times(table[name], whole[name], name, row, path)
        row += len(table)
        yield table


def _open(path: Path, unit: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, coerce_int96_timestamp_unit=unit, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({one_line(error)}): {_remedy(error, 'download it again or remove it')}"
        ) from error


def _tables(file: pq.ParquetFile, path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    try:
        for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
            yield pa.Table.from_batches([batch])
    except pa.ArrowNotImplementedError as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}): {_remedy(error, '')}") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged ({one_line(error)}): download it again") from error


def _remedy(error: Exception, otherwise: str) -> str:
    if isinstance(error, pa.ArrowNotImplementedError):
        return "write it again with plain columns and another compression, such as Snappy"
    return otherwise


def _int96_columns(file: pq.ParquetFile) -> set[str]:
    columns = (file.schema.column(number) for number in range(len(file.schema)))
    return {column.path for column in columns if column.physical_type == "INT96"}


def _check_old_times(micros: pa.ChunkedArray, seconds: pa.ChunkedArray, name: str, row: int, path: Path) -> None:
    """Raise `DataError` for a time whose microseconds are beyond int64; Arrow wraps them around to another time."""
    whole = pc.floor(pc.divide(micros.cast(pa.int64()).cast(pa.float64(), safe=False), float(MICROS)))
    far = pc.greater(pc.abs(pc.subtract(whole, seconds.cast(pa.int64()).cast(pa.float64(), safe=False))), 1.0)
    first = pc.index(far, True).as_py()
    if first >= 0:
        raise DataError(
            f"the column {name} of {path} has a time outside the years 1 to 9999 in row {row + first} "
            "(the first row is 0): correct it"
        )

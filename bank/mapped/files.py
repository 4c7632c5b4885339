"""Find the files of transactions in a folder, and open each by what it contains, not by its name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import pyarrow as pa

from bank.errors import DataError, one_line
from bank.files import files_below, partitions_of
from bank.mapped.problems import masked_text

Layout = Literal["csv", "json", "parquet"]
ENDINGS: Final = (".csv", ".tsv", ".txt", ".dat", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")
PACKED: Final = (".gz", ".bz2", ".zst", ".lz4")
COMPRESSIONS: Final = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
OTHERS: Final = {
    b"PK\x03\x04": "a zip archive or an Excel file: unpack it, or save it as CSV",
    b"\xfd7zXZ": "an xz archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as CSV",
    b"\x80\x04\x95": "a pickle: save it as Parquet, or leave out MAP for the published pickles",
    b"%PDF": "a PDF: save the table as CSV",
    b"SQLite format 3": "a database: export the table as CSV",
    b"Obj\x01": "an Avro file: save it as Parquet",
    b"ORC": "an ORC file: save it as Parquet",
}


@dataclass(frozen=True)
class DataFile:
    """A file of transactions; `partition` has the columns in its path, such as `day=2024-01-31`."""

    path: Path
    partition: tuple[tuple[str, str | None], ...] = ()

    @property
    def label(self) -> str:
        """The file in messages: its name, after those of its partition; long numbers are masked."""
        folders = [masked_text(f"{name}={value}") for name, value in self.partition]
        return "/".join([*folders, self.path.name])


def data_files(data: Path) -> list[DataFile]:
    """The files of a path, in order of path; others are named on stderr. Raises `DataError` if there are none."""
    if data.is_file():
        return [_data_file(data, Path(data.anchor))]
    if not data.is_dir():
        raise DataError(f"there is no file or folder {data}: set DATA to a file of transactions or a folder of them")
    found = list(_named_as_data(data))
    if not found:
        raise DataError(
            f"no data in {data}: put files there that end in {', '.join(ENDINGS)}, plain or as {', '.join(PACKED)}"
        )
    return found


def _named_as_data(data: Path) -> Iterator[DataFile]:
    for path in files_below(data):
        if not _is_data(path.name):
            print(f"ignored: {path.name} does not end in {', '.join(ENDINGS)}", file=sys.stderr)
        elif not path.exists():
            raise DataError(f"{path} is a broken link: remove it, or restore its target")
        elif path.stat().st_size:
            yield _data_file(path, data)


def _data_file(path: Path, root: Path) -> DataFile:
    return DataFile(path, tuple(partitions_of(path, root).items()))


def _is_data(name: str) -> bool:
    lower = name.lower()
    for ending in PACKED:
        lower = lower.removesuffix(ending)
    # Files of Hadoop and Spark may have no ending.
    return lower.endswith(ENDINGS) or (lower.startswith("part-") and "." not in lower)


def layout_of(path: Path, encoding: str = "utf-8") -> Layout:
    """What a file contains. Raises `DataError` for what cannot be read, naming what to do."""
    try:
        with path.open("rb") as raw:
            head = raw.read(16)
        if head.startswith(b"PAR1"):
            return "parquet"
        with open_unpacked(path) as file:
            start = file.read(4096)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    for mark, remedy in (OTHERS | {b"PAR1": "packed Parquet: unpack it"}).items():
        if start.startswith(mark):
            raise DataError(f"{path} is {remedy}")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) and not encoding.startswith("utf-16"):
        raise DataError(f'{path} is in UTF-16: write encoding = "utf-16" below [format] in the map')
    if b"\0" in start and not encoding.startswith(("utf-16", "utf-32")):
        raise DataError(f"{path} is not text: save the table as CSV, Parquet or JSON lines")
    if text[:4].lower() == b"sep=":
        raise DataError(f"{path} begins with Excel's line {text[:5].decode(errors='replace')}: remove that line")
    if text.startswith(b"["):
        raise DataError(f"{path} is one JSON array: write one object per line, for example with `jq -c '.[]'`")
    return "json" if text.startswith(b"{") else "csv"


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes] | Any]:
    """Open a file for reading its bytes, unpacked."""
    with path.open("rb") as raw:
        head = raw.read(4)
    packed = next((name for mark, name in COMPRESSIONS.items() if head.startswith(mark)), None)
    with pa.input_stream(str(path), compression=packed, buffer_size=1 << 20) as stream:
        yield stream


def unreadable(path: Path, error: Exception) -> DataError:
    """The error of a file that cannot be opened or ends early."""
    return DataError(f"{path} cannot be read ({one_line(error)}): download it again, or leave it out")

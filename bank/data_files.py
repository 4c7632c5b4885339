"""Find the Parquet files and pickles of a folder, by name or by content, and say what is left out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bank.errors import DataError
from bank.files import files_below, hidden_below, partitions_of
from bank.parquet_files import starts_as_parquet

Format = Literal["parquet", "pickle"]
FORMATS: Final[Mapping[str, Format]] = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".pkl": "pickle",
    ".pickle": "pickle",
}
PACKED: Final = (".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd", ".zip", ".snappy", ".br", ".brotli", ".lz4")
"""What may follow the ending: pandas compresses pickles by it, and people name Parquet's own compression so."""
UNFINISHED: Final = "_temporary"
"""The folder that Spark leaves when it was stopped while it wrote."""
NAMED: Final = 3
"""How many ignored files are named in one line."""


@dataclass(frozen=True)
class DataFile:
    """A file that should contain payments; `name` is its path below the folder that was given."""

    path: Path
    name: str
    format: Format
    partitions: Mapping[str, str | None]


def data_files(root: Path) -> list[DataFile]:
    """The Parquet files and pickles in a folder and its sub-folders, in order of path; others are named on stderr.

    Raises `DataError` for a folder or file that cannot be read.
    """
    found, other = list[DataFile](), list[Path]()
    for path in files_below(root):
        kind = _format_of(path)
        if kind is None:
            other.append(path)
            continue
        if not path.is_file():
            raise DataError(f"{path} is not a regular file, or is a broken link: remove it, or restore its target")
        name = path.name if path == root else str(path.relative_to(root))
        found.append(DataFile(path, name, kind, {} if path == root else partitions_of(path, root)))
    hidden = [path for path in hidden_below(root) if path.suffix.lower() in FORMATS]
    unfinished = [path for path in hidden_below(root) if path.name == UNFINISHED]
    _say_ignored(other, root, "not named as Parquet or pickles (to load payments in them, save them as .parquet)")
    _say_ignored(hidden, root, 'hidden by the "." or "_" at the beginning (to load them, rename them)')
    _say_ignored(unfinished, root, "left by a write that was stopped (if rows are missing, write the data again)")
    return found


def _format_of(path: Path) -> Format | None:
    """By name; by content where the name says too little, such as `000000_0` (Hive) and `a.parquet.gzip` (pandas)."""
    ending = path.suffix.lower()
    inner = FORMATS.get(Path(path.stem).suffix.lower()) if ending in PACKED else None
    if ending in FORMATS or inner == "pickle":
        return FORMATS.get(ending, inner)
    # Not of any other word: `a.parquet.bak` is an old copy.
    unclear = inner == "parquet" or not ending[1:].isalpha()
    return "parquet" if unclear and path.is_file() and starts_as_parquet(path) else None


def _say_ignored(paths: Sequence[Path], root: Path, why: str) -> None:
    if paths:
        names = ", ".join(str(path.relative_to(root)) if path != root else path.name for path in paths[:NAMED])
        more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
        print(f"ignored: {names}{more}: {why}", file=sys.stderr)

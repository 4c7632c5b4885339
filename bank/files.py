"""List the files of a folder and its sub-folders, as Spark, pandas and others leave them, and their partitions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from bank.errors import DataError, one_line

NULL_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write in a folder's name for a missing value."""
TABLE_MARKS: Final = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
"""Sub-folders that say that some of the Parquet files beside them are of earlier versions of the table."""


def files_below(root: Path) -> list[Path]:
    """The files of a folder and its sub-folders, in order of path; a single file is a list of one.

    Leaves out names that begin with "." or "_", as Spark and Arrow do, and folders that were listed already through
    another link. Links to nothing are listed. Raises `DataError` for a root that does not exist, a folder that cannot
    be read, and tables whose files alone do not say which rows are valid.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DataError(f"there is no folder {root}: set DATA= to a folder of Parquet files or daily pickles")
    return sorted(path for path in _walk(root) if not is_hidden(path.name))


def hidden_below(root: Path) -> list[Path]:
    """The files and folders that `files_below` leaves out for their names, without what is in such folders."""
    return sorted(path for path in _walk(root) if is_hidden(path.name)) if root.is_dir() else []


def partitions_of(path: Path, root: Path) -> dict[str, str | None]:
    """The values in the names of the folders from `root` to a file: `day=2018-04-01/TX_FRAUD=0/part-0.parquet`."""
    values: dict[str, str | None] = {}
    for folder in path.relative_to(root).parts[:-1]:
        name, equals, value = folder.partition("=")
        if equals:
            values[unquote(name)] = None if value == NULL_PARTITION else unquote(value)
    return values


def is_hidden(name: str) -> bool:
    """Whether Spark and Arrow would leave out a file or folder of this name; `_a=1` is a partition, not hidden."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _walk(root: Path) -> Iterator[Path]:
    """The files below a folder, and the hidden folders."""
    seen = set[str]()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        _refuse_tables(Path(folder), folders)
        yield from (Path(folder, name) for name in (*names, *filter(is_hidden, folders)))
        folders[:] = sorted(name for name in folders if not is_hidden(name))


def _refuse_tables(folder: Path, folders: list[str]) -> None:
    kinds = [kind for mark, kind in TABLE_MARKS.items() if mark in folders]
    if "metadata" in folders and any(folder.glob("metadata/*.metadata.json")):
        kinds.append("Iceberg")
    if kinds:
        raise DataError(
            f"{folder} is a table of {kinds[0]}, and some of its files may be of rows that were deleted: "
            "export its current rows as Parquet"
        )


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be listed ({one_line(error)}): make it readable or remove it") from error

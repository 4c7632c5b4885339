"""Flush files to the disk: after a power failure, a rename alone may leave an empty file, or the old one.

Order matters: first what is in a file, then the rename that publishes it, then the folder with its new name, and only
then the removal of what it replaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

AT_ONCE: Final = 8
"""Flushes at a time: the file system writes its journal once for several of them."""


def flush(*paths: Path) -> None:
    """Flush files, or the names in folders; what is in a folder's files is flushed by their own paths."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(_flush, paths))


def flush_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and `folder` itself."""
    flush(*folder.rglob("*"), folder)


def publish(source: Path, target: Path) -> None:
    """Move a file in place of another, so that after a crash either is there whole."""
    flush(source)
    source.replace(target)
    flush(target.parent)


def flush_folders(files: Iterable[Path], root: Path) -> None:
    """Flush the folders of these files and those above them, up to `root`."""
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(root)}
    flush(*(folder for folder in folders if folder.exists()))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

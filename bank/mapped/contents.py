"""Tell files by their content: one that was loaded before, one that has grown since, or a new one.

A source keeps its name while its file grows at the end, so its rows keep their keys, and a load adds only new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from bank.mapped.files import DataFile, open_unpacked, unreadable

BLOCK_BYTES: Final = 1 << 20
LINE_ENDS: Final = (b"\n", b"\r")


@dataclass(frozen=True)
class Content:
    """The digest and the size of a file's content, as `digest_of` has them, and the name of its source."""

    digest: str
    size: int
    source: str


class Contents:
    """The contents that are known, of loaded files and of those identified so far."""

    def __init__(self, known: Collection[Content] = ()) -> None:
        self.known = {content.digest: content for content in known}

    def identify(self, file: DataFile, columns: frozenset[str], digest: str, size: int) -> str:
        """The source of a file, from now on known; `columns` are those of its partition that count as content."""
        if digest not in self.known:
            source = self._grown(file, columns, size) or f"file:{digest}"
            self.known[digest] = Content(digest, size, source)
        return self.known[digest].source

    def _grown(self, file: DataFile, columns: frozenset[str], size: int) -> str:
        """The source that a file is a later state of; empty if there is none."""
        # Only of its longest content: another file that begins as an earlier one has other rows.
        longest = {one.source: one for one in sorted(self.known.values(), key=lambda one: one.size)}
        sizes = {one.size for one in longest.values() if one.size < size}
        found = set(_beginnings(file, columns, sorted(sizes))) if sizes else set()
        grown = [one for one in longest.values() if (one.digest, one.size) in found]
        return max(grown, key=lambda one: one.size).source if grown else ""


def by_source(
    digests: Mapping[DataFile, tuple[str, int]], columns: frozenset[str], contents: Contents
) -> dict[str, list[DataFile]]:
    """The files of each source, the one with all its rows first; the sources in the order of the files."""
    # By size, so that a file is seen before those that it has grown to.
    by_size = sorted(digests, key=lambda one: digests[one][1])
    found = {file: contents.identify(file, columns, *digests[file]) for file in by_size}
    sources: dict[str, list[DataFile]] = {found[file]: [] for file in digests}
    for file in sorted(digests, key=lambda one: -digests[one][1]):
        sources[found[file]].append(file)
    return sources


def digest_of(file: DataFile, columns: frozenset[str]) -> tuple[str, int]:
    """The first 64 bits of the SHA-256 of a file's unpacked content, and the content's size in bytes.

    The `columns` of its partition are content, too. Raises `DataError` for a file that cannot be read.
    """
    whole, size = hashlib.sha256(), 0
    for block in _blocks(file):
        whole.update(block)
        size += len(block)
    return _with_partition(whole, file, columns), size


def _beginnings(file: DataFile, columns: frozenset[str], sizes: Sequence[int]) -> Iterator[tuple[str, int]]:
    """The digests of a file's first bytes, for those of the ascending sizes at which a line ends."""
    begun, done, last, wanted = hashlib.sha256(), 0, b"", list(sizes)
    for block in _blocks(file):
        start = 0
        while wanted and wanted[0] < done + len(block):
            size = wanted.pop(0)
            end = size - done
            begun.update(block[start:end])
            start = end
            if (block[end - 1 : end] or last) in LINE_ENDS or block[end : end + 1] in LINE_ENDS:
                yield _with_partition(begun.copy(), file, columns), size
        if not wanted:
            return
        begun.update(block[start:])
        done, last = done + len(block), block[-1:]


def _blocks(file: DataFile) -> Iterator[bytes]:
    try:
        with open_unpacked(file.path) as opened:
            while block := opened.read(BLOCK_BYTES):
                yield block
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file.path, error) from error


def _with_partition(digest: Any, file: DataFile, columns: frozenset[str]) -> str:
    for name, value in file.partition:
        if name in columns:
            digest.update(f"\0{name}={value}".encode())
    found: str = digest.hexdigest()[:16]
    return found

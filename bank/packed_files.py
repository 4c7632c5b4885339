"""Open files that are compressed, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, cast

import pyarrow as pa


def open_unpacked(path: Path) -> BinaryIO:
    """A file's content, decompressed if it begins as gzip, bzip2, xz, Zstandard or a zip file of one member.

    Raises what the library for the compression raises, even while it is read.
    """
    with path.open("rb") as file:
        start = file.read(6)
    for magic, opened in _OPENERS.items():
        if start.startswith(magic):
            return opened(path)
    return path.open("rb")


def _open_xz(path: Path) -> BinaryIO:
    return cast(BinaryIO, lzma.open(path))


def _open_zstd(path: Path) -> BinaryIO:
    with pa.input_stream(str(path), compression="zstd") as stream:
        return io.BytesIO(stream.read())


def _open_zip(path: Path) -> BinaryIO:
    with zipfile.ZipFile(path) as packed:
        members = packed.namelist()
        if len(members) != 1:
            raise ValueError(f"the zip file has {len(members)} members, not one")
        return io.BytesIO(packed.read(members[0]))


_OPENERS: Final[dict[bytes, Callable[[Path], BinaryIO]]] = {
    b"\x1f\x8b": lambda path: cast(BinaryIO, gzip.GzipFile(path)),
    b"BZh": lambda path: cast(BinaryIO, bz2.BZ2File(path)),
    b"\xfd7zXZ\x00": _open_xz,
    b"\x28\xb5\x2f\xfd": _open_zstd,
    b"PK\x03\x04": _open_zip,
}

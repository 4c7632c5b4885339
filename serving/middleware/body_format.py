"""Reject bodies in a form that the scorer does not read: compressed, or in another encoding than UTF-8.

JSON parsers guess UTF-16 and UTF-32 from the first bytes. Read so, a body would pass the bounds on its structure
(`serving/api/body_structure.py`), which count bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from serving.middleware.rejections import Rejected

PLAIN: Final = b'{"'
"""How nearly every body begins; such a one is UTF-8, since in UTF-16 another byte follows the brace."""
CHARSETS: Final = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
MARKS: Final[Mapping[bytes, str]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
LONGEST: Final = 40
"""Characters of a header that an error quotes."""
_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?([^"';\s]*)""")
UNCOMPRESSED: Final = "send JSON in UTF-8, uncompressed"


class UnreadableBodyError(Rejected):
    """The body has a form that is not read; `status` is 415, or 501 for a transfer coding."""

    def __init__(self, detail: str, status: int = 415, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The body's length as its headers declare it, 0 if they do not. Raises `UnreadableBodyError`."""
    length, encodings = 0, list[bytes]()
    transfer = kind = b""
    for name, value in headers:
        if name == b"content-length":
            # Python converts no number of very many digits, even if they are zeros; twenty are more than any limit.
            length = int(value.lstrip(b"0")[:20] or b"0") if value.isdigit() else 0
        elif name == b"content-type":
            kind = value
        elif name == b"content-encoding":
            encodings.append(value)
        elif name == b"transfer-encoding":
            transfer += value
    if length or transfer:
        _reject_transfer(transfer)
        _reject_encoding(encodings)
        if b"=" in kind:
            _reject_charset(kind.lower())
    return length


def reject_unreadable(body: bytes) -> None:
    """Raise `UnreadableBodyError` for a body that is compressed, UTF-16 or UTF-32, whatever its headers say."""
    if body.startswith(PLAIN):
        return
    encoding = json.detect_encoding(body)
    if encoding.startswith(("utf-16", "utf-32")):
        raise UnreadableBodyError(f"the body is {encoding[:6].upper()}: {UNCOMPRESSED}")
    for mark, name in MARKS.items():
        if body.startswith(mark):
            raise UnreadableBodyError(f"the body is compressed with {name}: {UNCOMPRESSED}")


def _reject_transfer(transfer: bytes) -> None:
    if transfer and transfer.strip().lower() != b"chunked":
        raise UnreadableBodyError(f"Transfer-Encoding: {_shown(transfer)} is not supported: {UNCOMPRESSED}", 501)


def _reject_encoding(encodings: Iterable[bytes]) -> None:
    for encoding in b",".join(encodings).split(b","):
        if encoding.strip().lower() not in (b"", b"identity"):
            detail = f"Content-Encoding: {_shown(encoding)} is not supported: {UNCOMPRESSED}"
            raise UnreadableBodyError(detail, headers={"Accept-Encoding": "identity"})


def _reject_charset(kind: bytes) -> None:
    found = _CHARSET.search(kind)
    if found and found[1] and found[1] not in CHARSETS:
        raise UnreadableBodyError(f"charset={_shown(found[1])} is not supported: {UNCOMPRESSED}")


def _shown(value: bytes) -> str:
    return value.strip()[:LONGEST].decode("latin-1")

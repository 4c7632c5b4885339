"""The model card, as the data scientist wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.bundle import CARD_HTML, CARD_MARKDOWN, REBUILD, BundleError

MAX_BYTES: Final = 5_000_000


@dataclass(frozen=True)
class Card:
    """A model card in both its forms."""

    markdown: str
    html: str


def read_card(root: Path) -> Card:
    """Read the card under `root`. Raises `BundleError` if it is too large or not UTF-8."""
    return Card(_read(root, CARD_MARKDOWN), _read(root, CARD_HTML))


def _read(root: Path, name: str) -> str:
    content = (root / name).read_bytes()
    if len(content) > MAX_BYTES:
        raise BundleError(
            f"{name} has {len(content)} bytes, more than the {MAX_BYTES} that are shown: shorten the card"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} is not UTF-8 ({error}): {REBUILD}") from error

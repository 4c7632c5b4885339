"""What a map says, read without checking it: loading says what is wrong with it. Imports only the standard library."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

UTC: Final = "UTC"


def table_of_map(path: Path, table: str) -> dict[str, Any] | None:
    """A table of a map, empty if the map has none; None if the map cannot be read."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    found = content.get(table, {})
    return found if isinstance(found, dict) else None


def zone_of_map(path: Path) -> str:
    """The zone of a map's times, which is the bank's too; UTC if the map names none or cannot be read.

    Raises `ValueError` if it is no text.
    """
    zone = (table_of_map(path, "time") or {}).get("zone", UTC)
    if not isinstance(zone, str):
        raise ValueError(f"zone = {zone} below [time] is not a name: write it in quotes")
    return zone

"""Run a command on your own payments: `python -m containers.own_data COMMAND`, which takes the place of this process.

The command gets as `MAP` the path of the map in the container, and where they are empty, as `BANK_ZONE` the map's zone
and as `LIVE_DAYS` a number that suits the payments.
It imports only the standard library, so it runs in every environment.
"""

from __future__ import annotations

import ntpath
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from demo.map_tables import UTC, zone_of_map

MAP: Final = Path("/data/map.toml")
MAPS: Final = Path("/data/maps")
"""Where the map and its folder are mounted."""
LIVE_DAYS: Final = 245
OWN_LIVE_DAYS: Final = 5
"""Of your own payments: a month of them is enough to train on the days before."""


def environment_of(given: Mapping[str, str]) -> dict[str, str]:
    """The variables of the command, made of those that Compose passes on from the host."""
    path = map_in_container(given.get("MAP", ""), given.get("MAP_FOLDER", ""))
    settings = {
        "MAP": str(path or ""),
        "BANK_ZONE": given.get("BANK_ZONE") or zone_of(path),
        "LIVE_DAYS": given.get("LIVE_DAYS") or str(OWN_LIVE_DAYS if given.get("DATA") else LIVE_DAYS),
    }
    return {**given, **settings}


def map_in_container(path: str, folder: str) -> Path | None:
    """The map, in its folder if that is mounted and readable, where its table of rates is; None without a map."""
    if not path:
        return None
    # The host's path may be one of Windows.
    beside_rates = MAPS / ntpath.basename(path)
    return beside_rates if folder and _same(beside_rates, MAP) else MAP


def _same(one: Path, other: Path) -> bool:
    """Whether two files have the same content; False if one is missing, or in a folder that may not be searched."""
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def zone_of(path: Path | None) -> str:
    """The bank's zone by its map. UTC for a map that is wrong: the bootstrap's loading says what is."""
    try:
        return UTC if path is None else zone_of_map(path)
    except ValueError:
        return UTC


def main() -> None:
    """The command; returns only by an error."""
    os.execvpe(sys.argv[1], sys.argv[1:], environment_of(os.environ))


if __name__ == "__main__":
    main()

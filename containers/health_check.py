"""A health check: `python -m containers.health_check URL [PART.NAME=VALUE ...]`.

Exits with 0 if the URL answers 200 and its JSON has these values; otherwise prints the reason and exits with 1. It runs
every few seconds, so it imports only the standard library.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

TIMEOUT_SECONDS: Final = 4


def why_not(url: str, wanted: Sequence[str]) -> str:
    """The reason why the check fails, empty if it passes."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            content = json.load(answer) if wanted else None
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    for one in wanted:
        path, _, value = one.partition("=")
        found: Any = reduce(lambda at, name: at.get(name) if isinstance(at, dict) else None, path.split("."), content)
        if found != value:
            return f"{url}: {path} is {found!r}, not {value!r}"
    return ""


def main() -> int:
    """The command; returns its exit code."""
    problem = why_not(sys.argv[1], sys.argv[2:])
    if problem:
        print(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())

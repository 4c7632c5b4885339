"""A health check: `python -m containers.health_check [--login FILE] URL [PART.NAME=VALUE ...]`.

Exits with 0 if the URL answers 200 and its JSON has these values; otherwise prints the reason and exits with 1. FILE
contains `user:password`. The check runs every few seconds, so it imports only the standard library.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final

TIMEOUT_SECONDS: Final = 4
OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without a proxy: Docker gives the one of its client to every container."""


def why_not(url: str, wanted: Sequence[str], login: Path | None = None) -> str:
    """The reason why the check fails, empty if it passes."""
    try:
        request = urllib.request.Request(url, headers=_headers(login))
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content = json.load(answer) if wanted else None
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    for one in wanted:
        path, _, value = one.partition("=")
        found: Any = reduce(lambda at, name: at.get(name) if isinstance(at, dict) else None, path.split("."), content)
        if found != value:
            return f"{url}: {path} is {found!r}, not {value!r}"
    return ""


def _headers(login: Path | None) -> dict[str, str]:
    if login is None:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(login.read_bytes().strip()).decode()}"}


def main() -> int:
    """The command; returns its exit code."""
    login, arguments = None, sys.argv[1:]
    if arguments[0] == "--login":
        login, arguments = Path(arguments[1]), arguments[2:]
    problem = why_not(arguments[0], arguments[1:], login)
    if problem:
        print(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())

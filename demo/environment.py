"""The environment of the pipeline's commands and servers: what they need, and nothing else from the shell.

`python -I demo/environment.py [--keep-proxies] ARGUMENTS` runs Python with these arguments in it. The Makefile starts
every command like this, so it imports only the standard library.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_MACHINE: Final = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "JAVA_HOME",
    "OMP_NUM_THREADS",
)
_TERMINAL: Final = ("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI")
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# The Makefile's, and those of the tests that call it.
_TOOLS: Final = (
    "PYTHON",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "UV_CACHE_DIR",
    "HYPOTHESIS_STORAGE_DIRECTORY",
    "MPLCONFIGDIR",
    "PYTEST_ADDOPTS",
    "CHROMIUM",
)
KEPT: Final = frozenset({*_MACHINE, *_TERMINAL, *_CERTIFICATES, *_TOOLS})
"""Kept besides the settings that `.env.example` lists. Nothing here steers Spark, Hadoop, Airflow, MLflow, Python, Java
or PostgreSQL's client: that is the pipeline's business, and a variable meant for another program has broken it."""
PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
NO_PROXY: Final = {"NO_PROXY": "*", "no_proxy": "*"}
"""Every server is the pipeline's own. Said rather than left out: macOS would then ask the system's settings."""


def own_environment(
    settings: Mapping[str, str] | None = None, given: Mapping[str, str] | None = None, *, proxies: bool = False
) -> dict[str, str]:
    """The variables that a command of the pipeline gets: some of `given` (`os.environ`), and all of `settings`.

    `proxies`: keep the proxy variables, for a command that may speak to a server elsewhere.
    """
    given = os.environ if given is None else given
    kept = {name: value for name, value in given.items() if name in KEPT or name in documented_settings()}
    network = {name: value for name, value in given.items() if name.lower() in PROXIES} if proxies else NO_PROXY
    return kept | network | _locale(given) | {"PYTHONPATH": str(ROOT)} | dict(settings or {})


@cache
def documented_settings() -> frozenset[str]:
    """The variables that `.env.example` lists."""
    return frozenset(re.findall(r"^([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))


def _locale(given: Mapping[str, str]) -> dict[str, str]:
    """UTF-8: with another encoding, Java opens no file below a folder whose name has letters beyond ASCII."""
    if sys.platform == "linux":
        return {"LC_ALL": "C.UTF-8"}
    return {name: value for name, value in given.items() if name == "LANG" or name.startswith("LC_")}


def main() -> None:
    """The command; Python takes the place of this process."""
    arguments = sys.argv[1:]
    proxies = arguments[:1] == ["--keep-proxies"]
    command = [sys.executable, *(arguments[1:] if proxies else arguments)]
    os.execve(sys.executable, command, own_environment(proxies=proxies))


if __name__ == "__main__":
    main()

"""Read the secret `api_keys` again when its file changes, so that a key is added or revoked without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from serving.errors import SettingsError
from serving.middleware.api_keys import ApiKey, ApiKeys, parse_keys
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger

NAME: Final = "api_keys"
CHECK_SECONDS: Final = 2.0
Version = tuple[int, int, int]
"""Time of the last change, size and inode of a file."""


class KeyFile:
    """Watches the file of the keys; one that is missing or invalid changes nothing."""

    def __init__(self, folder: Path, api_keys: ApiKeys, metrics: Metrics) -> None:
        self._path = folder / NAME
        self._api_keys = api_keys
        self._metrics = metrics
        # Read once more at the start: it may have changed since.
        self._version: Version | None = None
        self._problem = TransitionLogger("api keys not reloaded", changed="api keys not reloaded")

    async def run(self) -> None:
        """Check the file every `CHECK_SECONDS`, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_SECONDS)

    async def refresh(self) -> None:
        """Accept the keys in the file if it changed and is valid."""
        try:
            version, keys = await asyncio.to_thread(_read_if_changed, self._path, self._version)
        except SettingsError as error:
            # Read again at the next check: it may have been half written.
            self._version, problem = None, f"{error}; the keys before stay in use"
        else:
            self._version, problem = version, ""
            if keys and self._api_keys.replace(keys):
                event("api keys reloaded", keys=[key.name for key in keys])
        self._problem.update(problem)
        self._metrics.api_keys_problem.set(bool(problem))


def _read_if_changed(path: Path, known: Version | None) -> tuple[Version, Sequence[ApiKey]]:
    """The file's version, and its keys, none if the version is the known one. Raises `SettingsError`."""
    try:
        found = path.stat()
        version = found.st_mtime_ns, found.st_size, found.st_ino
        return version, () if version == known else parse_keys(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path} ({type(error).__name__}): write it again") from None

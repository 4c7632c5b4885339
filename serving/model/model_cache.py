"""The last verified champion, cached on disk for a start without the registry."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Final

from contracts.bundle import MANIFEST, BundleError, verify
from contracts.durable import flush, flush_tree, publish
from serving.model.champion import FILES
from serving.model.registry_client import Version

CURRENT: Final = "current.json"
LOCK: Final = "lock"


class ModelCache:
    """A folder with one version's files, and a file that names the version, written last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, version: Version, files: Path) -> None:
        """Cache a version's files in place of the cached ones. Raises `OSError` if they cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Several workers write here, each when it loads the version.
        with (self._folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._has(version):
                self._write(version, files)

    def _write(self, version: Version, files: Path) -> None:
        target = self._folder / f"version-{version.number}"
        # To a name of this process first: another worker may start from the cache meanwhile.
        fresh = self._folder / f"{target.name}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(files, fresh)
        flush_tree(fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
        flush(self._folder)
        name = self._folder / f"{fresh.name}.json"
        name.write_text(json.dumps(asdict(version)) + "\n")
        publish(name, self._folder / CURRENT)
        for other in self._folder.glob("version-*"):
            if other != target and other.is_dir():
                shutil.rmtree(other, ignore_errors=True)

    def clear(self) -> None:
        """Remove the cached version. Raises `OSError` if it cannot be removed."""
        if not (self._folder / CURRENT).exists():
            return
        with (self._folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self._folder / CURRENT).unlink(missing_ok=True)
            for folder in self._folder.glob("version-*"):
                shutil.rmtree(folder, ignore_errors=True)
            flush(self._folder)

    def _has(self, version: Version) -> bool:
        """Whether this version is cached and intact."""
        try:
            kept = self.read()
            if kept is None or kept[0] != version:
                return False
            verify(kept[1], FILES)
        except BundleError:
            return False
        return True

    def copy(self, folder: Path) -> Version | None:
        """Copy the cached version's files to `folder`; None if there is none. Raises `BundleError`.

        What is verified in a private folder cannot change before it is loaded.
        """
        cached = self.read()
        if cached is None:
            return None
        version, files = cached
        for name in (MANIFEST, *FILES):
            if (files / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(files / name, folder / name)
        return version

    def read(self) -> tuple[Version, Path] | None:
        """The cached version and the folder of its files, None if there is none. Raises `BundleError`."""
        try:
            version = Version(**json.loads((self._folder / CURRENT).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise BundleError(
                f"{self._folder / CURRENT} does not contain a model version ({error!r}): delete its folder"
            ) from error
        return version, self._folder / f"version-{version.number}"

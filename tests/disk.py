"""A record of what a program flushes and renames, to tell what a power failure would leave."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Disk:
    """The steps in order: `flush`, `rename` (with the target) and `remove`, each with a path below `root`."""

    root: Path
    steps: list[tuple[str, str]] = field(default_factory=list)

    def index(self, step: str, path: str) -> int:
        """When this step happened last. Raises `ValueError` if it never did."""
        return len(self.steps) - 1 - self.steps[::-1].index((step, path))

    def add(self, step: str, path: Path) -> None:
        """Note a step, unless it is elsewhere."""
        if path.is_relative_to(self.root):
            self.steps.append((step, str(path.relative_to(self.root))))


def record(patch: pytest.MonkeyPatch, root: Path) -> Disk:
    """Record the steps below `root` in this process."""
    disk = Disk(root)
    paths: dict[int, Path] = {}
    real_open, real_fsync, real_rmtree = os.open, os.fsync, shutil.rmtree

    def open_(path: Any, *arguments: Any, **options: Any) -> int:
        handle = real_open(path, *arguments, **options)
        if isinstance(path, str | os.PathLike):
            paths[handle] = Path(path)
        return handle

    def fsync(handle: int) -> None:
        real_fsync(handle)
        disk.add("flush", paths[handle])

    def rmtree(path: Any, *arguments: Any, **options: Any) -> None:
        if Path(path).exists():
            disk.add("remove", Path(path))
        real_rmtree(path, *arguments, **options)

    def move(name: str) -> None:
        real = getattr(Path, name)

        def moved(self: Path, target: Path) -> Path:
            result: Path = real(self, target)
            disk.add("rename", Path(target))
            return result

        patch.setattr(Path, name, moved)

    patch.setattr(os, "open", open_)
    patch.setattr(os, "fsync", fsync)
    patch.setattr(shutil, "rmtree", rmtree)
    move("rename")
    move("replace")
    return disk

"""A copy of what the demo left, for what must leave nothing in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from demo.embedded_servers import free_port
from demo.installation import DEMO, Place

COPIED: Final = ("secrets", "mlflow", "postgres", "valkey")


def copy_of_demo(folder: Path, demo: Path = DEMO) -> Place:
    """A place of its own with what the demo left, on ports that are free; the lake is the demo's own, to be read."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        subprocess.run(["cp", "-a", "--reflink=auto", str(demo / name), str(folder / name)], check=True)
    (folder / "lake").symlink_to(demo / "lake")
    place = Place(folder, free_port(), free_port(), free_port(), free_port())
    place.make_folders()
    return place

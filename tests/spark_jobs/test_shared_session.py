"""Jobs that share one Spark application behave as if each ran alone, and leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_jobs import submit
from spark_jobs.shared_session import exit_code
from tests.spark_jobs import processes
from tests.spark_jobs.lakes import FIRST_DAY, RawRow, digests, read_rows, write_raw

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("--master", "local[2]", "--driver-java-options", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
DAY = ("--from", str(FIRST_DAY), "--to", str(FIRST_DAY))
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(spark_environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a job with submit.py: `start(job, lake, **environment)`; its applications end with the test."""
    began: list[subprocess.Popen[str]] = []

    def run(job: str, lake: Path, **environment: str) -> subprocess.Popen[str]:
        command = [str(ROOT / "spark_jobs/submit.py"), *OPTIONS, "--name", job, f"spark_jobs/{job}.py", *DAY]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"LAKE_URI": str(lake), "TMPDIR": str(tmp_path), "PATH": path, "SPARK_IDLE_SECONDS": "300"}
        began.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **spark_environment, **own, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return began[-1]

    yield run
    for running in began:
        running.kill()
        running.communicate()
    left = application(tmp_path)
    processes.send(left, signal.SIGKILL)
    processes.wait_until_gone(left)


def application(folder: Path) -> dict[int, str]:
    """The processes of the application whose address file is in a folder."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(one.startswith(f"{folder}/fraud-relay-spark-") for one in arguments):
                found |= processes.tree(int(entry.name))
    return found


def last_line(running: subprocess.Popen[str]) -> str:
    out, _ = running.communicate(timeout=300)
    return out.splitlines()[-1]


def test_jobs_share_an_application_until_one_fails(start: Start, tmp_path: Path) -> None:
    write_raw(tmp_path / "one", [(FIRST_DAY, RawRow(1)), (FIRST_DAY, RawRow(2))])
    write_raw(tmp_path / "other", [(FIRST_DAY, RawRow(1, amount="-1"))])
    said = json.loads(last_line(start("validate", tmp_path / "one")))
    held = application(tmp_path)
    assert sorted(set(held.values())) == ["daemon", "driver", "jvm", "worker"]
    assert (said["job"], said["rows_good"], said["rows_quarantined"]) == ("validate", 2, 0)
    # Each job reads the environment that it was submitted in.
    said = json.loads(last_line(start("validate", tmp_path / "other")))
    assert said["reasons"] == {"amount_negative": 1}
    assert [len(read_rows(tmp_path / lake, "clean")) for lake in ("one", "other")] == [2, 0]
    # And sees the lake's current files, not those that the first job found.
    write_raw(tmp_path / "one", [(FIRST_DAY, RawRow(1)), (FIRST_DAY, RawRow(2, transaction_id=1))])
    said = json.loads(last_line(start("validate", tmp_path / "one")))
    assert said["reasons"] == {"transaction_id_repeated": 1}
    said = json.loads(last_line(start("build_features", tmp_path / "one")))
    assert said["rows_out"] == 1
    jvm = [pid for pid, kind in held.items() if kind == "jvm"]
    assert [pid for pid, kind in application(tmp_path).items() if kind == "jvm"] == jvm
    failing = start("ingest", tmp_path / "one", SECRETS_DIR=str(tmp_path / "none"))
    told = last_line(failing)
    assert failing.returncode == 1
    assert told.startswith(f"ingest {FIRST_DAY}..{FIRST_DAY}: cannot read the secret file {tmp_path}/none/")
    processes.wait_until_gone(held)
    assert list(tmp_path.glob("fraud-relay-spark-*.json")) == []


def test_a_killed_submitter_ends_its_job_and_the_next_one_starts_again(start: Start, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_raw(lake, [(FIRST_DAY, RawRow(n)) for n in range(200)])
    running = start("validate", lake)
    while not list(lake.glob("_staging/validate-*")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    held = application(tmp_path)
    processes.send([running.pid], signal.SIGKILL)
    processes.wait_until_gone(held)
    assert not any(name.startswith("clean") for name in digests(lake))
    again = start("validate", lake, SPARK_IDLE_SECONDS="1")
    assert json.loads(last_line(again))["rows_good"] == 200
    # And nothing stays if no further job comes.
    processes.wait_until_gone(application(tmp_path))
    assert list(tmp_path.glob("fraud-relay-spark-*.json")) == []


def test_an_application_that_does_not_start_is_reported_with_its_log(start: Start, tmp_path: Path) -> None:
    submitter = tmp_path / "bin/spark-submit"
    submitter.parent.mkdir()
    submitter.write_text("#!/bin/sh\necho no such option >&2\nexit 3\n")
    submitter.chmod(0o755)
    path = f"{submitter.parent}{os.pathsep}{os.environ['PATH']}"
    running = start("validate", tmp_path / "lake", PATH=path)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    log = r"\S+/fraud-relay-spark-\w+\.log"
    said = (
        rf"the Spark application did not start: spark-submit exited with code 3; its log {log} ends:\nno such option\n"
    )
    assert re.fullmatch(said, out)


def test_a_missing_spark_submit_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "spark-submit is not on PATH" in (submit.start_session([], tmp_path / "address.json") or "")


def test_a_job_is_distinguished_from_its_options() -> None:
    given = ["--master", "local[2]", "--name", "ingest a..b", "ingest.py", "--from", "--name", "other.py"]
    options, job = submit.split_arguments(given)
    assert options == ["--master", "local[2]"]
    assert job == ["ingest.py", "--from", "--name", "other.py"]
    with pytest.raises(SystemExit, match="usage"):
        submit.split_arguments(["--master", "local[2]"])


def test_other_options_are_another_application() -> None:
    one, same, other = (submit.address_of(["--master", name]) for name in ("local[2]", "local[2]", "local[1]"))
    assert one == same
    assert one != other


def test_an_address_written_by_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "address.json"
    address.write_text('{"port": 1, "token": ""}')
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SystemExit, match="belongs to another user"):
        submit.run_job(address, {})


@pytest.mark.parametrize(("code", "number"), [(None, 0), (3, 3), ("no such day", 1)])
def test_a_sys_exit_becomes_an_exit_code(code: object, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(SystemExit(code)) == number
    assert capsys.readouterr().err == ("no such day\n" if number == 1 else "")

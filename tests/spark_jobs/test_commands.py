"""The jobs run by spark-submit and python -m: their last line, errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spark_jobs.lakes import FIRST_DAY, RawRow, read_rows, write_raw

ROOT = Path(__file__).resolve().parents[2]
DAY = str(FIRST_DAY)


def test_a_job_ends_with_one_line_of_json(submit: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    write_raw(tmp_path, [(FIRST_DAY, RawRow(1)), (FIRST_DAY, RawRow(2, amount="-1"))])
    running = submit("validate", tmp_path, "--from", DAY, "--to", DAY)
    out, err = running.communicate(timeout=240)
    assert running.returncode == 0, err
    last = json.loads(out.splitlines()[-1])
    assert last.pop("seconds") > 0
    assert last == {
        "job": "validate",
        "rows_in": 2,
        "rows_good": 1,
        "rows_quarantined": 1,
        "reasons": {"amount_negative": 1},
        "rows_late": 0,
    }
    assert len(read_rows(tmp_path, "clean")) == 1


def test_a_job_that_fails_ends_with_one_line_that_says_why(
    submit: Callable[..., subprocess.Popen[str]], tmp_path: Path, servers: dict[str, str]
) -> None:
    """spark-submit forwards its driver's output to standard output."""
    running = submit(
        "ingest", tmp_path, "--from", DAY, "--to", DAY, **servers | {"SECRETS_DIR": str(tmp_path / "none")}
    )
    out, err = running.communicate(timeout=240)
    assert running.returncode == 1, err
    told = out.splitlines()[-1]
    assert told.startswith(f"ingest {DAY}..{DAY}: cannot read the secret file {tmp_path}/none/bank_reader_password")
    assert told.endswith("create it or set SECRETS_DIR to its folder")


@pytest.mark.parametrize(
    ("options", "environment", "code", "told"),
    [
        (("--from", DAY), {}, 2, "the following arguments are required: --to"),
        (("--from", DAY, "--to", "2024-3-1"), {}, 2, "'2024-3-1' is not a day: write YYYY-MM-DD"),
        (("--from", DAY, "--to", "2024-02-29"), {}, 2, "comes before --from"),
        (
            ("--from", DAY, "--to", DAY),
            {"LAKE_URI": "s3://lake"},
            1,
            f"count_lake {DAY}..{DAY}: LAKE_URI: 's3://lake' is not",
        ),
    ],
)
def test_invalid_options_and_settings_are_reported_in_one_line(
    options: tuple[str, ...], environment: dict[str, str], code: int, told: str
) -> None:
    command = [sys.executable, "-m", "spark_jobs.count_lake", *options]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert told in done.stderr.splitlines()[-1]


def test_the_lake_is_counted_without_spark(tmp_path: Path) -> None:
    write_raw(tmp_path, [(FIRST_DAY, RawRow(1))])
    command = [sys.executable, "-m", "spark_jobs.count_lake", "--from", DAY, "--to", DAY]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAKE_URI": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {"raw": 1, "clean": 0, "quarantine": 0, "features": 0}

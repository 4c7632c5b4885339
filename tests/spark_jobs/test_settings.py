from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from spark_jobs.errors import JobError, one_line
from spark_jobs.settings import Settings, read_secret


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/data/lake", "/data/lake"),
        ("file:///data/lake", "/data/lake"),
        ("file://localhost/data/lake", "/data/lake"),
        ("file:///data/my%20lake", "/data/my lake"),
    ],
)
def test_the_lake_is_a_path_or_a_file_uri(uri: str, path: str) -> None:
    assert Settings(lake_uri=uri).lake_root == Path(path)


def test_a_relative_lake_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(lake_uri="var/lake").lake_root == tmp_path / "var/lake"


@pytest.mark.parametrize("uri", ["s3://bucket/lake", "hdfs://node/lake", "file://elsewhere/lake"])
def test_any_other_lake_is_rejected_in_one_line(uri: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(lake_uri=uri)
    assert one_line(caught.value).startswith(f"LAKE_URI: '{uri}' is not a local folder: write a path")


def test_a_missing_and_an_empty_secret_name_their_file(tmp_path: Path) -> None:
    with pytest.raises(
        JobError,
        match=r"cannot read the secret file .*/valkey_password \(No such file.*\): create it or set SECRETS_DIR",
    ):
        read_secret(tmp_path, "valkey_password")
    (tmp_path / "valkey_password").write_text("\n")
    with pytest.raises(JobError, match=r"the secret file .*/valkey_password is empty"):
        read_secret(tmp_path, "valkey_password")


def test_an_error_in_a_task_is_reported_with_its_own_message() -> None:
    trace = "Job aborted:\nTraceback (most recent call last):\n  spark_jobs.errors.JobError: the bank is shut\n at y"
    assert one_line(RuntimeError(trace)) == "the bank is shut"

"""The containers' credentials: created once, copied to their holders, shown on request."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from containers.credentials import FOREIGN, HOLDERS, MADE, make, show
from demo.embedded_servers import ROOT
from demo.secret_files import read_secret

ADDRESSES = {"SCORER_URL": "http://127.0.0.1:8000", "AIRFLOW_URL": "http://127.0.0.1:8080", "MLFLOW_URL": "http://m"}


def everything(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(folder: Path, verb: str, **addresses: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CREDENTIALS_DIR": str(folder)} | addresses
    command = [sys.executable, "-m", "containers.credentials", verb]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_they_are_created_only_once(tmp_path: Path) -> None:
    make(tmp_path, ADDRESSES)
    first = everything(tmp_path)
    make(tmp_path, ADDRESSES)
    assert everything(tmp_path) == first
    make(tmp_path / "other", ADDRESSES)
    assert not {first[f"all/{name}"] for name in MADE} & set(everything(tmp_path / "other").values())


def test_each_holder_has_its_files_and_no_others(tmp_path: Path) -> None:
    make(tmp_path, ADDRESSES)
    (tmp_path / "scorer/bank_admin_password").write_text("from a version that handed out more")
    (tmp_path / "scorer/api_keys").unlink()
    make(tmp_path, ADDRESSES)
    for holder, names in HOLDERS.items():
        assert {path.name for path in (tmp_path / holder).iterdir()} == set(names), holder


def test_file_permissions(tmp_path: Path) -> None:
    """Only their owner, or everyone in the container if the image has another user."""
    make(tmp_path, ADDRESSES)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            foreign = path.parent.name in FOREIGN
            assert stat.S_IMODE(path.stat().st_mode) == (0o444 if foreign else 0o600), path


def test_derived_files_match_their_secrets(tmp_path: Path) -> None:
    make(tmp_path, ADDRESSES)

    def secret(name: str) -> str:
        return read_secret(tmp_path / "all", name)

    digest = hashlib.sha256(secret("valkey_password").encode()).hexdigest()
    assert f"#{digest} " in read_secret(tmp_path / "valkey", "valkey.acl")
    assert secret("valkey_password") not in read_secret(tmp_path / "valkey", "valkey.acl")
    assert read_secret(tmp_path / "mlflow", "mlflow.pgpass") == f"*:*:mlflow:mlflow:{secret('mlflow_db_password')}"
    assert read_secret(tmp_path / "migrate", "mlflow_db_password") == secret("mlflow_db_password")
    assert json.loads(read_secret(tmp_path / "airflow", "airflow_users.json")) == {"admin": secret("airflow_password")}
    assert len(base64.urlsafe_b64decode(read_secret(tmp_path / "airflow", "airflow_fernet_key"))) == 32
    (key,) = json.loads(read_secret(tmp_path / "scorer", "api_keys"))
    assert key["sha256"] == hashlib.sha256(secret("scorer_api_key").encode()).hexdigest()


def test_an_interrupted_start_is_completed(tmp_path: Path) -> None:
    make(tmp_path, ADDRESSES)
    kept = read_secret(tmp_path / "all", "valkey_password")
    (tmp_path / "all/airflow_password").unlink()
    (tmp_path / "pipeline/.valkey_password").write_text("half")
    make(tmp_path, ADDRESSES)
    assert read_secret(tmp_path / "all", "valkey_password") == kept
    assert len(read_secret(tmp_path / "bootstrap", "airflow_password")) == 64
    assert not list(tmp_path.glob("*/.*"))


def test_they_are_shown_as_name_value_lines(tmp_path: Path) -> None:
    make(tmp_path, ADDRESSES | {"HOME": "/"})
    lines = dict(line.split("=", 1) for line in show(tmp_path).splitlines())
    assert lines == ADDRESSES | {
        "SCORER_API_KEY": read_secret(tmp_path / "all", "scorer_api_key"),
        "AIRFLOW_USER": "admin",
        "AIRFLOW_PASSWORD": read_secret(tmp_path / "all", "airflow_password"),
    }


def test_the_command_makes_and_shows(tmp_path: Path) -> None:
    """The addresses are those of the last start, independent of the current environment."""
    before = run(tmp_path, "show")
    assert (before.returncode, before.stdout) == (1, "")
    assert "run `make up` first" in before.stderr
    made = run(tmp_path, "make", SCORER_URL="http://here")
    assert json.loads(made.stdout)["credentials"]["scorer"] == 3
    shown = run(tmp_path, "show", SCORER_URL="http://elsewhere")
    assert "SCORER_URL=http://here\n" in shown.stdout


@pytest.mark.parametrize("holder", HOLDERS)
def test_only_the_migration_has_passwords_of_other_databases(holder: str) -> None:
    owners = {"airflow.pgpass": "airflow", "mlflow.pgpass": "mlflow", "bank_admin_password": "postgres"}
    for name in HOLDERS[holder]:
        assert holder in ("migrate", owners.get(name, holder)), name

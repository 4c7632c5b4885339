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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from containers.credentials import FOREIGN, HOLDERS, LOGINS, MADE, make, show
from containers.mlflow_users import USERS
from demo.embedded_servers import ROOT
from demo.secret_files import PUBLIC_KEYS, SIGNING_KEY, read_secret

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
    passwords = json.loads(read_secret(tmp_path / "mlflow-users", "mlflow_users.json"))
    assert set(passwords) == set(USERS)
    for holder, user in LOGINS.items():
        assert read_secret(tmp_path / holder, "mlflow_login") == f"{user}:{passwords[user]}"
    for holder in ("spark", "pipeline", "training"):
        properties = dict(line.split() for line in read_secret(tmp_path / holder, "spark.conf").splitlines())
        assert properties["spark.authenticate"] == "true"
        assert properties["spark.authenticate.secret"] == secret("spark_secret")
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
        "MLFLOW_USER": "admin",
        "MLFLOW_PASSWORD": read_secret(tmp_path / "all", "mlflow_admin_password"),
    }


def test_the_command_makes_and_shows(tmp_path: Path) -> None:
    """The addresses are those of the last start, independent of the current environment."""
    before = run(tmp_path, "show")
    assert (before.returncode, before.stdout) == (1, "")
    assert "run `make up` first" in before.stderr
    made = run(tmp_path, "make", SCORER_URL="http://here")
    assert json.loads(made.stdout)["credentials"]["scorer"] == 5
    shown = run(tmp_path, "show", SCORER_URL="http://elsewhere")
    assert "SCORER_URL=http://here\n" in shown.stdout


@pytest.mark.parametrize("holder", HOLDERS)
def test_only_the_migration_has_passwords_of_other_databases(holder: str) -> None:
    owners = {"airflow.pgpass": "airflow", "mlflow.pgpass": "mlflow", "bank_admin_password": "postgres"}
    for name in HOLDERS[holder]:
        assert holder in ("migrate", owners.get(name, holder)), name


def test_only_the_promoting_job_has_the_key_that_signs_and_only_the_scorer_the_public_keys(tmp_path: Path) -> None:
    assert {holder for holder, names in HOLDERS.items() if SIGNING_KEY in names} == {"training"}
    assert {holder for holder, names in HOLDERS.items() if PUBLIC_KEYS in names} == {"scorer"}
    make(tmp_path, ADDRESSES)
    private = base64.b64decode(read_secret(tmp_path / "training", SIGNING_KEY))
    (public,) = read_secret(tmp_path / "scorer", PUBLIC_KEYS).split()
    assert Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() == base64.b64decode(public)
    assert {path.parent.name for path in tmp_path.glob(f"*/{SIGNING_KEY}")} == {"all", "training"}


def test_a_deleted_signing_key_is_replaced_and_the_earlier_public_key_stays_accepted(tmp_path: Path) -> None:
    make(tmp_path, ADDRESSES)
    before, first = read_secret(tmp_path / "training", SIGNING_KEY), read_secret(tmp_path / "scorer", PUBLIC_KEYS)
    (tmp_path / "all" / SIGNING_KEY).unlink()
    make(tmp_path, ADDRESSES)
    newest, *earlier = read_secret(tmp_path / "scorer", PUBLIC_KEYS).split()
    assert earlier == [first]
    assert newest != first
    assert read_secret(tmp_path / "training", SIGNING_KEY) != before
    # The end of a rotation: the earlier key is no longer accepted, and does not return.
    (tmp_path / "all" / PUBLIC_KEYS).write_text(f"{newest}\n")
    make(tmp_path, ADDRESSES)
    assert read_secret(tmp_path / "scorer", PUBLIC_KEYS) == newest


def test_a_signing_key_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / SIGNING_KEY).write_text("no key\n")
    with pytest.raises(ValueError, match=f"{tmp_path / 'all' / SIGNING_KEY} is not 32 bytes in base64.*: delete it"):
        make(tmp_path, ADDRESSES)

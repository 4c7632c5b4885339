"""Create and show the containers' credentials: `python -m containers.credentials make` (at each start) and `show`.

Credentials are created once and kept in `CREDENTIALS_DIR/all`. Each holder (a service, or several with the same role)
has its own folder, a volume that only it mounts, with copies of exactly the files it needs.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from containers.mlflow_users import ADMIN, TRAINING, USERS
from demo.secret_files import PASSWORDS, PUBLIC_KEYS, SIGNING_KEY, read_secret, write_atomically, write_secrets

MADE: Final = (
    *PASSWORDS,
    "airflow_api_secret",
    "airflow_db_password",
    "airflow_fernet_seed",
    "mlflow_db_password",
    "mlflow_session_secret",
    "spark_secret",
    "valkey_pipeline_password",
    "valkey_scorer_password",
    *(f"mlflow_{user}_password" for user in USERS),
)
PIPELINE: Final = ("bank_reader_password", "decisions_reader_password", "spark.conf", "valkey_password")
HOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "postgres": ("bank_admin_password",),
    "valkey": ("valkey_password", "valkey.acl"),
    "migrate": (
        "bank_admin_password",
        "bank_feed_password",
        "bank_reader_password",
        "decisions_password",
        "decisions_reader_password",
        "airflow_db_password",
        "mlflow_db_password",
    ),
    "mlflow": ("mlflow.pgpass", "mlflow_login", "mlflow_session_secret"),
    "mlflow-users": ("mlflow_users.json",),
    "airflow": (
        "airflow.pgpass",
        "airflow_api_secret",
        "airflow_fernet_key",
        "airflow_jwt_secret",
        "airflow_users.json",
    ),
    "pipeline": PIPELINE,
    "spark": ("spark.conf",),
    # Where the tasks run: Spark's drivers, training, and the promotion, which signs.
    "training": (*PIPELINE, "mlflow_login", SIGNING_KEY),
    "bootstrap": ("airflow_password", "bank_feed_password", "bank_id_key", "mlflow_login"),
    "bank": ("bank_feed_password", "bank_id_key", "scorer_api_key"),
    "scorer": ("api_keys", "decisions_password", "mlflow_login", PUBLIC_KEYS, "valkey_password"),
}
LOGINS: Final[Mapping[str, str]] = {
    "mlflow": "health",
    "training": TRAINING,
    "bootstrap": "bootstrap",
    "scorer": "scorer",
}
"""The user with which each holder logs in to MLflow."""
VALKEY: Final[Mapping[str, str]] = {
    # No command that empties, configures or stops the server.
    "scorer": "~c:* ~t:* ~i:* ~p:* ~state:* ~decisions* ~fraud_reports* ~rate:* +@all -@admin -@dangerous +info",
    # The histories and their stamp, but no payment, response or decision.
    "pipeline": "~c:* ~t:* ~i:* ~state:days ~state:meta +@all -@admin -@dangerous",
}
"""What Valkey's users may do; `default`, for people, may do everything. contracts/online_state.py has the keys."""
VALKEY_USERS: Final[Mapping[str, str]] = {
    "pipeline": "valkey_pipeline_password",
    "training": "valkey_pipeline_password",
    "scorer": "valkey_scorer_password",
}
"""The secret that each holder has as `valkey_password`."""
FOREIGN: Final = frozenset({"postgres", "valkey"})
"""Holders whose images run as another user: their files are world-readable, but only they mount the volume."""
ADDRESSES: Final = ("SCORER_URL", "AIRFLOW_URL", "MLFLOW_URL")
USER: Final = "admin"


def make(folder: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """Create missing credentials and give each holder exactly its files; returns the number of files by holder.

    `environment` has the addresses that this start publishes, which are stored for `show`.
    """
    kept = folder / "all"
    write_secrets(kept, MADE)
    write_atomically(
        kept / "addresses", json.dumps({name: environment[name] for name in ADDRESSES if name in environment})
    )
    for holder, names in HOLDERS.items():
        mode = 0o444 if holder in FOREIGN else 0o600
        _mirror(folder / holder, {name: _content(kept, holder, name) for name in names}, mode)
    return {holder: len(names) for holder, names in HOLDERS.items()}


def show(folder: Path) -> str:
    """Addresses and logins as NAME=value lines. Raises FileNotFoundError before the first start."""
    kept = folder / "all"
    lines = json.loads(read_secret(kept, "addresses")) | {
        "SCORER_API_KEY": read_secret(kept, "scorer_api_key"),
        "AIRFLOW_USER": USER,
        "AIRFLOW_PASSWORD": read_secret(kept, "airflow_password"),
        "MLFLOW_USER": ADMIN,
        "MLFLOW_PASSWORD": read_secret(kept, f"mlflow_{ADMIN}_password"),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _content(kept: Path, holder: str, name: str) -> str:
    """The content of a file: a secret, or a secret in the format that its reader needs."""
    match name:
        case "valkey.acl" | "spark.conf":
            return (_valkey_users if name == "valkey.acl" else _spark_conf)(kept)
        case "airflow.pgpass" | "mlflow.pgpass":
            role = name.removesuffix(".pgpass")
            return f"*:*:{role}:{role}:{read_secret(kept, f'{role}_db_password')}"
        case "airflow_fernet_key":
            seed = read_secret(kept, "airflow_fernet_seed").encode()
            return base64.urlsafe_b64encode(hashlib.sha256(seed).digest()).decode()
        case "airflow_users.json":
            return json.dumps({USER: read_secret(kept, "airflow_password")})
        case "mlflow_users.json" | "mlflow_login":
            passwords = {user: read_secret(kept, f"mlflow_{user}_password") for user in USERS}
            return json.dumps(passwords) if name.endswith(".json") else f"{LOGINS[holder]}:{passwords[LOGINS[holder]]}"
        case _:
            return read_secret(kept, VALKEY_USERS.get(holder, name) if name == "valkey_password" else name)


def _spark_conf(kept: Path) -> str:
    """The properties with which master, workers and drivers authenticate each other and encrypt what they send."""
    properties = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": read_secret(kept, "spark_secret"),
        "spark.network.crypto.enabled": "true",
    }
    return "\n".join(f"{name} {value}" for name, value in properties.items())


def _valkey_users(kept: Path) -> str:
    """The lines of Valkey's file of users, with the digests of their passwords."""

    def digest(secret: str) -> str:
        return hashlib.sha256(read_secret(kept, secret).encode()).hexdigest()

    users = [f"user {user} on #{digest(f'valkey_{user}_password')} {rules}" for user, rules in VALKEY.items()]
    return "\n".join([f"user default on #{digest('valkey_password')} ~* &* +@all", *users])


def _mirror(folder: Path, files: Mapping[str, str], mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in files and path.is_file():
            path.unlink()
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != f"{content}\n":
            write_atomically(path, content, mode)


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m containers.credentials", description=__doc__)
    parser.add_argument("verb", choices=["make", "show"])
    verb = parser.parse_args().verb
    folder = Path(os.environ.get("CREDENTIALS_DIR", "/run/credentials"))
    if verb == "make":
        print(json.dumps({"credentials": make(folder, os.environ)}))
        return 0
    try:
        sys.stdout.write(show(folder))
    except FileNotFoundError as error:
        print(f"error: there are no credentials yet ({error.filename}): run `make up` first", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

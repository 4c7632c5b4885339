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

from demo.secret_files import PASSWORDS, read_secret, write_atomically, write_secrets

MADE: Final = (
    *PASSWORDS,
    "airflow_api_secret",
    "airflow_db_password",
    "airflow_fernet_seed",
    "mlflow_db_password",
)
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
    "mlflow": ("mlflow.pgpass",),
    "airflow": (
        "airflow.pgpass",
        "airflow_api_secret",
        "airflow_fernet_key",
        "airflow_jwt_secret",
        "airflow_users.json",
    ),
    "pipeline": ("bank_reader_password", "decisions_reader_password", "valkey_password"),
    "bootstrap": ("airflow_password", "bank_feed_password"),
    "bank": ("bank_feed_password", "scorer_api_key"),
    "scorer": ("api_keys", "decisions_password", "valkey_password"),
}
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
        _mirror(folder / holder, {name: _content(kept, name) for name in names}, mode)
    return {holder: len(names) for holder, names in HOLDERS.items()}


def show(folder: Path) -> str:
    """Addresses and logins as NAME=value lines. Raises FileNotFoundError before the first start."""
    kept = folder / "all"
    lines = json.loads(read_secret(kept, "addresses")) | {
        "SCORER_API_KEY": read_secret(kept, "scorer_api_key"),
        "AIRFLOW_USER": USER,
        "AIRFLOW_PASSWORD": read_secret(kept, "airflow_password"),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _content(kept: Path, name: str) -> str:
    """The content of a file: a secret, or a secret in the format that its reader needs."""
    match name:
        case "valkey.acl":
            digest = hashlib.sha256(read_secret(kept, "valkey_password").encode()).hexdigest()
            return f"user default on #{digest} ~* &* +@all"
        case "airflow.pgpass" | "mlflow.pgpass":
            role = name.removesuffix(".pgpass")
            return f"*:*:{role}:{role}:{read_secret(kept, f'{role}_db_password')}"
        case "airflow_fernet_key":
            seed = read_secret(kept, "airflow_fernet_seed").encode()
            return base64.urlsafe_b64encode(hashlib.sha256(seed).digest()).decode()
        case "airflow_users.json":
            return json.dumps({USER: read_secret(kept, "airflow_password")})
        case _:
            return read_secret(kept, name)


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

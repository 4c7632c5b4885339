"""The secret files of an installation: created once, readable only by their owner."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PASSWORDS: Final = (
    "bank_admin_password",
    "bank_feed_password",
    "bank_reader_password",
    "decisions_password",
    "decisions_reader_password",
    "valkey_password",
    "scorer_api_key",
    "airflow_password",
    "airflow_jwt_secret",
)
ALL_SCOPES: Final = ("score", "report", "read")


def write_secrets(folder: Path, passwords: Sequence[str] = PASSWORDS) -> None:
    """Create the missing secret files: random passwords, and `api_keys` with the hash of the scorer's key."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in passwords:
        _write_once(folder / name, secrets.token_urlsafe(48))
    digest = hashlib.sha256(read_secret(folder, "scorer_api_key").encode()).hexdigest()
    key = {"name": "everything", "sha256": digest, "scopes": list(ALL_SCOPES), "rate": None}
    _write_once(folder / "api_keys", json.dumps([key]))


def read_secret(folder: Path, name: str) -> str:
    """A secret's value. Raises FileNotFoundError, naming the file."""
    return (folder / name).read_text().strip()


def _write_once(path: Path, text: str) -> None:
    """Write a file that is missing or empty."""
    if not path.exists() or path.stat().st_size == 0:
        write_atomically(path, text)


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write one line to a file atomically: readers and crashes see the old content or the new."""
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(mode)
    fresh.replace(path)

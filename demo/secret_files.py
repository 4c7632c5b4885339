"""The secret files of an installation: created once, readable only by their owner."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
    "bank_id_key",
)
SIGNING_KEY: Final = "model_signing_key"
PUBLIC_KEYS: Final = "model_public_keys"
ALL_SCOPES: Final = ("score", "report", "read")


def write_secrets(folder: Path, passwords: Sequence[str] = PASSWORDS) -> None:
    """Create the missing secret files: random passwords, `api_keys` with the hash of the scorer's key, signing keys."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in passwords:
        _write_once(folder / name, secrets.token_urlsafe(48))
    digest = hashlib.sha256(read_secret(folder, "scorer_api_key").encode()).hexdigest()
    key = {"name": "everything", "sha256": digest, "scopes": list(ALL_SCOPES), "rate": None}
    _write_once(folder / "api_keys", json.dumps([key]))
    _write_model_keys(folder)


def _write_model_keys(folder: Path) -> None:
    """Create the key that signs promoted models, and add its public key to the accepted ones.

    To change the key, delete its file: the next start creates another, and the earlier public keys stay accepted.
    """
    _write_once(folder / SIGNING_KEY, base64.b64encode(secrets.token_bytes(32)).decode())
    try:
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(read_secret(folder, SIGNING_KEY), validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"{folder / SIGNING_KEY} is not 32 bytes in base64 ({error}): delete it, and another is created"
        ) from None
    own = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    accepted = read_secret(folder, PUBLIC_KEYS).split() if (folder / PUBLIC_KEYS).exists() else []
    if own not in accepted:
        write_atomically(folder / PUBLIC_KEYS, "\n".join([own, *accepted]))


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

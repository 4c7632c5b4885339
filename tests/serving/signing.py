"""The keys of the tests' model versions."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.bundle import MODEL_NAME
from contracts.signature import PUBLIC_KEYS
from serving.model.signature_check import SignatureCheck

KEY = Ed25519PrivateKey.from_private_bytes(b"the key of the tests' champions ")
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"a key that was not accepted yet.")


def public(key: Ed25519PrivateKey) -> str:
    """A line of the file with the accepted keys."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signature_check(folder: Path, *keys: Ed25519PrivateKey) -> SignatureCheck:
    """A check that accepts these keys, by default `KEY`, from a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PUBLIC_KEYS).write_text("".join(f"{public(key)}\n" for key in keys or (KEY,)))
    return SignatureCheck(folder, MODEL_NAME)

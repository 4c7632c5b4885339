"""The signature of a model version: the promoting job signs (Ed25519), the scorer verifies before it loads anything.

A signature covers the manifest, which has the checksums of the bundle's files, and the model's name and version number:
a signed bundle is worth nothing under another name or number. It is a tag of the model version in MLflow.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.bundle import MANIFEST, REBUILD, BundleError

SIGNING_KEY: Final = "model_signing_key"
"""The secret file of the promoting job: 32 bytes in base64."""
PUBLIC_KEYS: Final = "model_public_keys"
"""The secret file of the scorer: one accepted key a line, each 32 bytes in base64."""
SIGNATURE_TAG: Final = "bundle_signature"
WITHDRAWAL_TAG: Final = "bundle_withdrawal"
"""The tag of a version that was withdrawn: as much a decision of the promoting job as the promotion, so signed too."""
SIGN_AGAIN: Final = (
    "if you trust the version, run modeling.promote on its run with --sign-again; if not, see who changed MLflow"
)
"""The remedy for a version without a valid signature."""

# No other message signed with this key can be taken for a bundle, or for a withdrawal.
_PURPOSE: Final = "fraud-relay model bundle 1"
_WITHDRAWAL: Final = "fraud-relay model withdrawal 1"


def parse_signing_key(text: str) -> Ed25519PrivateKey:
    """The private key of `model_signing_key`. Raises ValueError if it is none."""
    return Ed25519PrivateKey.from_private_bytes(_decoded(text))


def parse_public_keys(text: str) -> tuple[Ed25519PublicKey, ...]:
    """The accepted keys of `model_public_keys`. Raises ValueError if a line is not a key, or if there is none."""
    keys = tuple(Ed25519PublicKey.from_public_bytes(_decoded(line)) for line in text.split())
    if not keys:
        raise ValueError("it has no key")
    return keys


def read_signed_manifest(root: Path) -> bytes:
    """The manifest below `root`, byte by byte. Raises `BundleError` if it is missing."""
    try:
        return (root / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{MANIFEST} is missing from the model version: {REBUILD}") from None


def sign(key: Ed25519PrivateKey, model: str, version: str, manifest: bytes) -> str:
    """The signature of a version of a model with this manifest, in base64."""
    return base64.b64encode(key.sign(_message(model, version, manifest))).decode()


def verify_signature(
    keys: Sequence[Ed25519PublicKey], signature: str, model: str, version: str, manifest: bytes
) -> None:
    """Check that one of the keys signed this manifest for this version. Raises `BundleError`."""
    if not signature:
        raise BundleError(f"it has no signature (tag {SIGNATURE_TAG}): {SIGN_AGAIN}")
    message = _message(model, version, manifest)
    if not any(_is_signed(key, signature, message) for key in keys):
        raise BundleError(
            f"its signature (tag {SIGNATURE_TAG}) is not that of a promoted version {version} of {model!r} by an "
            f"accepted key: {SIGN_AGAIN}"
        )


def sign_withdrawal(key: Ed25519PrivateKey, model: str, version: str, signature: str) -> str:
    """The signed withdrawal of a version with this promotion's signature, in base64.

    It is worth nothing for a later version of the same number, for example in a registry that was emptied.
    """
    return base64.b64encode(key.sign(_withdrawal(model, version, signature))).decode()


def is_withdrawn(keys: Sequence[Ed25519PublicKey], withdrawal: str, model: str, version: str, signature: str) -> bool:
    """Whether one of the keys signed the withdrawal of this version."""
    message = _withdrawal(model, version, signature)
    return bool(withdrawal) and any(_is_signed(key, withdrawal, message) for key in keys)


def _message(model: str, version: str, manifest: bytes) -> bytes:
    # JSON on one line has no line break inside, so no two triples give the same message.
    return json.dumps([_PURPOSE, model, version]).encode() + b"\n" + manifest


def _withdrawal(model: str, version: str, signature: str) -> bytes:
    return json.dumps([_WITHDRAWAL, model, version, signature]).encode()


def _is_signed(key: Ed25519PublicKey, signature: str, message: bytes) -> bool:
    try:
        key.verify(_decoded(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"it is not base64 ({error})") from None

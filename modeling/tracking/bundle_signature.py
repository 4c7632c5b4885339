"""Sign a model version: its manifest, with the key that only the promoting job has."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.bundle import SCORER_FILES, BundleError, verify
from contracts.signature import (
    SIGNATURE_TAG,
    SIGNING_KEY,
    WITHDRAWAL_TAG,
    parse_signing_key,
    read_signed_manifest,
    sign,
    sign_withdrawal,
    verify_signature,
)
from modeling.errors import ModelingError
from modeling.settings import Settings
from modeling.tracking.mlflow_client import MODEL_FILE, download_model


def read_signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The private key in the secrets folder. Raises `ModelingError`, naming its file."""
    file = settings.secrets_dir / SIGNING_KEY
    try:
        return parse_signing_key(file.read_text())
    except (OSError, ValueError) as error:
        raise ModelingError(
            f"cannot read {file}, the key that signs promoted models ({error}): `make demo` and `make up` create it; "
            "set SECRETS_DIR to its folder"
        ) from None


def verified_manifest(root: Path) -> bytes:
    """The manifest below `root`, once every file that is loaded matches it. Raises `BundleError`."""
    verify(root, [*SCORER_FILES, MODEL_FILE])
    return read_signed_manifest(root)


def stored_manifest(version: Any) -> bytes:
    """The manifest of a registered version's files, which match it. Raises `BundleError`."""
    with tempfile.TemporaryDirectory() as folder:
        return verified_manifest(download_model(version.source.removeprefix("models:/"), Path(folder)))


def sign_version(client: Any, key: Ed25519PrivateKey, version: Any, manifest: bytes, settings: Settings) -> None:
    """Tag a version with the signature of its manifest, as the manifest was when it was measured."""
    signature = sign(key, settings.model_name, str(version.version), manifest)
    client.set_model_version_tag(settings.model_name, version.version, SIGNATURE_TAG, signature)


def withdraw_version(client: Any, key: Ed25519PrivateKey, version: Any, settings: Settings) -> None:
    """Tag a version with its signed withdrawal."""
    signature = version.tags.get(SIGNATURE_TAG, "")
    withdrawal = sign_withdrawal(key, settings.model_name, str(version.version), signature)
    client.set_model_version_tag(settings.model_name, version.version, WITHDRAWAL_TAG, withdrawal)


def was_withdrawn(version: Any) -> bool:
    """Whether a version has a withdrawal; only the scorer, which may not trust MLflow, looks at who signed it."""
    return bool(version.tags.get(WITHDRAWAL_TAG))


def has_valid_signature(key: Ed25519PrivateKey, version: Any, manifest: bytes, settings: Settings) -> bool:
    """Whether a version's tag is this key's signature of this manifest."""
    signature = version.tags.get(SIGNATURE_TAG, "")
    try:
        verify_signature([key.public_key()], signature, settings.model_name, str(version.version), manifest)
    except BundleError:
        return False
    return True

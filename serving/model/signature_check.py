"""Whether a version was promoted: its signature, against the public keys of the secrets folder."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.bundle import BundleError
from contracts.signature import PUBLIC_KEYS, is_withdrawn, parse_public_keys, read_signed_manifest, verify_signature
from serving.errors import SettingsError
from serving.model.registry_client import Version


class SignatureCheck:
    """Checks versions of one model. It reads the keys for each version, so that changing them needs no restart.

    Raises `SettingsError` if the file with the keys is missing or malformed.
    """

    def __init__(self, secrets: Path, model: str) -> None:
        self._file = secrets / PUBLIC_KEYS
        self._model = model
        self._read_keys()

    def check(self, version: Version, root: Path) -> None:
        """Check the signature of the files below `root`; call it before anything of them is read. Raises `BundleError`.

        The manifest below `root` is signed; `verify` then checks the files against it.
        """
        try:
            keys = self._read_keys()
        except SettingsError as error:
            raise BundleError(f"its signature cannot be checked: {error}") from error
        verify_signature(keys, version.signature, self._model, version.number, read_signed_manifest(root))

    def is_withdrawn(self, version: Version) -> bool:
        """Whether the promoting job withdrew a version. A withdrawal that no accepted key signed counts for nothing."""
        try:
            keys = self._read_keys()
        except SettingsError:
            return False
        return is_withdrawn(keys, version.withdrawal, self._model, version.number, version.signature)

    def _read_keys(self) -> tuple[Ed25519PublicKey, ...]:
        try:
            return parse_public_keys(self._file.read_text())
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{self._file} does not contain public keys of promoted models ({error}): write one key a line, "
                "each 32 bytes in base64, or set SECRETS_DIR"
            ) from None

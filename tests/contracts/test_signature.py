"""The signature of a model version: only its own manifest, name and number verify, and only under an accepted key."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.bundle import BundleError
from contracts.signature import parse_public_keys, parse_signing_key, sign, verify_signature

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
NAMES = st.text(max_size=8) | st.sampled_from(["fraud", "fraud\n", '", "1', "fraud\x00"])
NUMBERS = st.sampled_from(["1", "2", "12", "01"])
MANIFESTS = st.binary(max_size=8) | st.sampled_from([b"", b"\n", b'{"files": {}}\n'])
VERSIONS = st.tuples(NAMES, NUMBERS, MANIFESTS)


def accepted(keys: list[Ed25519PrivateKey], signature: str, *version: Any) -> bool:
    try:
        verify_signature([key.public_key() for key in keys], signature, *version)
    except BundleError:
        return False
    return True


@given(VERSIONS, VERSIONS, st.lists(st.sampled_from([KEY, OTHER]), min_size=1, max_size=3))
def test_a_signature_is_valid_for_its_own_version_and_key_only(
    signed: tuple[str, str, bytes], asked: tuple[str, str, bytes], keys: list[Ed25519PrivateKey]
) -> None:
    assert accepted(keys, sign(KEY, *signed), *asked) == (signed == asked and KEY in keys)


@given(st.text(max_size=100) | st.binary(min_size=60, max_size=70).map(lambda raw: base64.b64encode(raw).decode()))
def test_no_other_text_is_a_signature(text: str) -> None:
    assert not accepted([KEY], text, "fraud", "1", b"{}")


def test_a_missing_signature_says_so_and_what_to_do() -> None:
    with pytest.raises(BundleError, match=r"it has no signature \(tag bundle_signature\).*--sign-again"):
        verify_signature([KEY.public_key()], "", "fraud", "1", b"{}")
    with pytest.raises(BundleError, match="not that of a promoted version 1 of 'fraud' by an accepted key"):
        verify_signature([KEY.public_key()], sign(OTHER, "fraud", "1", b"{}"), "fraud", "1", b"{}")


def line(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "text", ["", "\n\n", "short", line(b"x" * 31), line(b"x" * 33), "Schlüssel", f"{line(b'x' * 32)}\nmore"]
)
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_public_keys(text)
    with pytest.raises(ValueError, match=r"."):
        parse_signing_key(text)


def test_several_public_keys_stand_one_a_line() -> None:
    lines = [line(key.public_key().public_bytes_raw()) for key in (KEY, OTHER)]
    assert parse_public_keys("\n".join(lines) + "\n") == (KEY.public_key(), OTHER.public_key())
    assert parse_signing_key(line(b"\x01" * 32) + "\n").public_key() == KEY.public_key()

"""Settings: addresses from the environment, secrets from files, and neither shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from bank.errors import BankError
from bank.settings import read_settings


def test_a_secret_is_read_from_its_file_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    (tmp_path / "scorer_api_key").write_text("a key\n")
    settings = read_settings()
    assert settings.secret("scorer_api_key") == "a key"
    assert "a key" not in repr(settings)


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_missing_secret_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    if content is not None:
        (tmp_path / "scorer_api_key").write_text(content)
    with pytest.raises(BankError, match=f"the secret scorer_api_key is missing: write it to the file {tmp_path}"):
        read_settings().secret("scorer_api_key")


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", "/nowhere")
    monkeypatch.setenv("BANK_URL", "postgresql://db/bank")
    monkeypatch.delenv("SCORER_URL", raising=False)
    assert read_settings().bank_url == "postgresql://db/bank"
    assert read_settings().scorer_url == "http://127.0.0.1:8000"

"""The bank's settings: addresses and secrets."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from bank.errors import BankError


class Settings(BaseSettings):
    """Read from the environment; secrets from files in `SECRETS_DIR`, named like the fields."""

    model_config = SettingsConfigDict(extra="ignore")

    bank_url: str = "postgresql://127.0.0.1:5432/bank"
    decisions_url: str = "postgresql://127.0.0.1:5432/decisions"
    scorer_url: str = "http://127.0.0.1:8000"
    bank_admin_password: SecretStr = SecretStr("")
    bank_feed_password: SecretStr = SecretStr("")
    bank_reader_password: SecretStr = SecretStr("")
    decisions_password: SecretStr = SecretStr("")
    decisions_reader_password: SecretStr = SecretStr("")
    airflow_db_password: SecretStr = SecretStr("")
    mlflow_db_password: SecretStr = SecretStr("")
    scorer_api_key: SecretStr = SecretStr("")
    bank_id_key: SecretStr = SecretStr("")

    def secret(self, name: str) -> str:
        """A secret's value. Raises `BankError`, naming the missing file, if it is empty."""
        secret: SecretStr = getattr(self, name)
        value = secret.get_secret_value()
        if not value:
            raise BankError(f"the secret {name} is missing: write it to the file {secrets_dir() / name}")
        return value


def secrets_dir() -> Path:
    """The folder with the secret files, `SECRETS_DIR`."""
    return Path(os.environ.get("SECRETS_DIR", "var/secrets"))


def read_settings() -> Settings:
    """The settings from the environment and the secret files."""
    folder = secrets_dir()
    return Settings(_secrets_dir=folder if folder.is_dir() else None)  # type: ignore[call-arg]  # pydantic-settings accepts it

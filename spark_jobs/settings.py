"""The jobs' settings from the environment, and their secrets from files."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator
from pydantic_settings import BaseSettings

from contracts.addresses import local_folder
from contracts.zones import UTC, Zone, find_zone
from spark_jobs.errors import JobError

BANK_READER = "bank_reader"
DECISIONS_READER = "decisions_reader"
BANK_SECRET = "bank_reader_password"
DECISIONS_SECRET = "decisions_reader_password"
VALKEY_SECRET = "valkey_password"


class Settings(BaseSettings):
    """Addresses and folders; each field is read from the environment variable of that name."""

    lake_uri: str = "var/lake"
    bank_url: str = "postgresql://127.0.0.1:5432/bank"
    decisions_url: str = "postgresql://127.0.0.1:5432/decisions"
    valkey_url: str = "valkey://127.0.0.1:6379/0"
    secrets_dir: Path = Path("var/secrets")
    bank_zone: str = UTC.name
    """The IANA name of the zone that night and weekend are local to; empty for UTC."""

    @field_validator("bank_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return find_zone(name or UTC.name).name

    @property
    def zone(self) -> Zone:
        """The bank's zone."""
        return find_zone(self.bank_zone)

    @field_validator("lake_uri")
    @classmethod
    def _is_local(cls, uri: str) -> str:
        local_folder(uri)
        return uri

    @property
    def lake_root(self) -> Path:
        """The lake's folder as an absolute path, because executors have another working directory."""
        return local_folder(self.lake_uri).absolute()


def read_secret(secrets_dir: str | Path, name: str) -> str:
    """The secret in the file `name`; read where it is used, so that it is not sent elsewhere. Raises `JobError`."""
    path = Path(secrets_dir) / name
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise JobError(
            f"cannot read the secret file {path} ({error.strerror}): create it or set SECRETS_DIR to its folder"
        ) from None
    if not secret:
        raise JobError(f"the secret file {path} is empty: write the password into it")
    return secret

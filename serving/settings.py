"""Settings from environment variables, secrets from files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from contracts.addresses import problem_of, proxy_for
from contracts.bundle import MODEL_NAME
from serving.errors import SettingsError

DECISIONS_OWNER: Final = "scorer"
MEBIBYTE: Final = 2**20


class Settings(BaseSettings):
    """Addresses and limits; each field is the environment variable of its name."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True)

    valkey_url: str = "valkey://127.0.0.1:6379/0"
    decisions_url: str = "postgresql://127.0.0.1:5432/decisions"
    mlflow_tracking_uri: str = "http://127.0.0.1:5000"
    model_name: str = MODEL_NAME
    secrets_dir: Path = Path("var/secrets")
    scorer_host: str = "127.0.0.1"
    scorer_port: int = Field(default=8000, ge=0, le=65535)
    scorer_allowed_hosts: str = "localhost,scorer"
    """Names that requests may be sent to, separated by commas; `*` for any. IP addresses are always allowed."""
    scorer_workers: int = Field(default=1, ge=1, le=64)
    """The number of worker processes. They share each key's rate limit, in Valkey."""
    scorer_access_log: bool = False
    scorer_max_body_bytes: int = Field(default=4 * MEBIBYTE, ge=1)
    scorer_poll_seconds: float = Field(default=2.0, gt=0)
    """How often the registry is polled for the champion."""
    scorer_champion_dir: Path = Path("var/champion")
    """Where the last verified champion is cached, for a start without the registry."""
    scorer_answer_days: float = Field(default=2.0, ge=1, le=365)
    """How long the online store keeps the answer to a payment; afterwards the scorer queries the decision log."""
    scorer_max_decisions_waiting: int = Field(default=100_000, ge=1)
    """Decisions that may wait for PostgreSQL, 1.3 KB of Valkey's memory each, before batches are rejected."""
    scorer_max_bundle_bytes: int = Field(default=64 * MEBIBYTE, ge=1)
    """The largest size of a model version's files together."""
    scorer_timeout_seconds: float = Field(default=1.0, ge=0.5)
    """How long Valkey and PostgreSQL may take to answer."""
    scorer_decisions_connections: int = Field(default=80, ge=2)
    """PostgreSQL connections of all workers together. Each worker has at most 8, and at least 2."""
    scorer_unconfirmed_bytes: int = Field(default=128 * MEBIBYTE, ge=1)
    """Memory of all workers together for responses that are not known to be in PostgreSQL yet."""

    @field_validator("valkey_url", "mlflow_tracking_uri")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if problem := problem_of(url):
            raise ValueError(problem)
        return url

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _has_a_usable_proxy(cls, url: str) -> str:
        proxy_for(url)
        return url


class Secrets(BaseSettings):
    """Passwords and keys; each field is read from the file of its name in the secrets folder, and from nowhere else."""

    model_config = SettingsConfigDict(frozen=True)

    valkey_password: SecretStr = Field(min_length=1)
    decisions_password: SecretStr = Field(min_length=1)
    api_keys: SecretStr = Field(min_length=1)
    model_public_keys: SecretStr = Field(min_length=1)
    mlflow_login: SecretStr | None = None
    """`user:password`, if MLflow asks for a login."""

    @field_validator("mlflow_login")
    @classmethod
    def _has_user_and_password(cls, login: SecretStr | None) -> SecretStr | None:
        if login is not None and not all(login.get_secret_value().partition(":")):
            raise ValueError("it is not user:password")
        return login

    @property
    def mlflow_auth(self) -> tuple[str, str] | None:
        """The user and the password for MLflow, None if it asks for no login."""
        if self.mlflow_login is None:
            return None
        user, _, password = self.mlflow_login.get_secret_value().partition(":")
        return user, password

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all of these by name
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Files only: child processes inherit passwords in the environment."""
        return (file_secret_settings,)


def read_settings() -> Settings:
    """The settings of this process. Raises `SettingsError`, naming the variables."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise SettingsError(f"invalid settings: {wrong}") from None


def read_secrets(folder: Path) -> Secrets:
    """The secrets in `folder`. Raises `SettingsError`, naming each file that is missing or empty."""
    if not folder.is_dir():
        raise SettingsError(f"the secrets folder {folder} does not exist: create it, or set SECRETS_DIR")
    try:
        return Secrets(_secrets_dir=folder)  # type: ignore[call-arg]  # mypy sees only the fields
    except ValidationError as error:
        files = ", ".join(str(folder / str(e["loc"][0])) for e in error.errors())
        raise SettingsError(f"secrets are missing or malformed in {files}: write them, or set SECRETS_DIR") from None

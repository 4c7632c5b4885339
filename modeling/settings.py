"""The settings of the modelling commands: lake, registry, costs and review budget."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.addresses import local_folder, redact
from contracts.bundle import MODEL_NAME
from contracts.zones import Zone, find_zone
from modeling.errors import ModelingError
from modeling.evaluation.costs import Costs


class Settings(BaseSettings):
    """Read from the environment."""

    model_config = SettingsConfigDict(extra="ignore", protected_namespaces=())

    lake_uri: str = "var/lake"
    mlflow_tracking_uri: str = "http://127.0.0.1:5000"
    model_name: str = MODEL_NAME
    secrets_dir: Path = Path("var/secrets")
    review_cost: float = Field(default=5.0, ge=0)
    """The cost of an analyst's review of one payment, in the currency of the payments."""
    decline_cost: float = Field(default=25.0, ge=0)
    """The cost of declining a genuine payment: a call, a lost sale, an unused card."""
    reviews_per_1000: float = Field(default=10.0, ge=0, le=1_000)
    """The review budget: how many of 1,000 payments analysts can review, on average over the days."""
    bank_zone: str = ""
    """The IANA name of the bank's zone: training rejects features of another one. Empty: whatever they are for."""

    @field_validator("bank_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return find_zone(name).name if name else ""

    @property
    def zone(self) -> Zone | None:
        """The bank's zone, None if it is not set."""
        return find_zone(self.bank_zone) if self.bank_zone else None

    @property
    def lake(self) -> Path:
        """The lake's folder. Raises `ModelingError` if `LAKE_URI` is not a local path."""
        try:
            return local_folder(self.lake_uri)
        except ValueError as error:
            raise ModelingError(f"LAKE_URI cannot be used: {error}") from None

    @property
    def costs(self) -> Costs:
        """The costs of reviews and of wrong declines."""
        return Costs(review=self.review_cost, wrong_decline=self.decline_cost)


def read_settings() -> Settings:
    """The settings from the environment. Raises `ModelingError`, naming the variables."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{str(e['loc'][0]).upper()}={e['input']}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise ModelingError(redact(f"invalid settings: {wrong}")) from None

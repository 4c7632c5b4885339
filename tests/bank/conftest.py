"""A migrated bank on a real PostgreSQL, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bank.landing import open_bank
from bank.migrate import migrate
from bank.settings import Settings, read_settings


@pytest.fixture(scope="session")
def settings(postgres: Any, secrets_dir: Path) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRETS_DIR", str(secrets_dir))
        patch.setenv("BANK_URL", f"postgresql://127.0.0.1:{postgres.port}/bank_tests")
        patch.setenv("DECISIONS_URL", f"postgresql://127.0.0.1:{postgres.port}/decisions_tests")
        settings = read_settings()
    migrate(settings)
    return settings


@pytest.fixture
def admin(settings: Settings) -> Iterator[psycopg.Connection]:
    """The superuser's connection, to look and to wipe."""
    password = settings.secret("bank_admin_password")
    with psycopg.connect(settings.bank_url, user="postgres", password=password, autocommit=True) as connection:
        yield connection


@pytest.fixture
def bank(settings: Settings, admin: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The feed's connection to empty tables."""
    admin.execute("truncate bank.transactions, bank.fraud_reports")
    with open_bank(settings) as connection:
        yield connection

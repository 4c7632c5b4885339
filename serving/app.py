"""The scorer as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from serving.api import batch, card, decisions, fraud_reports, health, model, page, score
from serving.api.error_handlers import add_failures
from serving.api.openapi import document
from serving.clock import Clock, machine_clock
from serving.middleware.api_keys import Keyring, parse_keys
from serving.middleware.auth import Guard
from serving.middleware.body_limit import BodySize
from serving.middleware.request_context import Telemetry
from serving.observability.metrics import Metrics
from serving.services import open_services
from serving.settings import Settings, read_secrets

DESCRIPTION = (
    "Scores card payments: a probability of fraud, a decision and its reasons. Everything under /v1 needs a key in "
    "the header X-API-Key."
)


def create_app(settings: Settings, clock: Clock = machine_clock) -> FastAPI:
    """The application; it connects when it starts. Raises `SettingsError` if a secret is missing."""
    secrets = read_secrets(settings.secrets_dir)
    keyring = Keyring(parse_keys(secrets.api_keys.get_secret_value()))
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, secrets, clock, metrics) as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="Fraud scorer",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    for part in (score, batch, fraud_reports, decisions, model, card, health, page):
        app.include_router(part.router)
    add_failures(app)
    document(app)
    app.add_middleware(BodySize, most=settings.scorer_max_body_bytes)
    app.add_middleware(Guard, keyring=keyring)
    app.add_middleware(Telemetry, metrics=metrics)
    return app

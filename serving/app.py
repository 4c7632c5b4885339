"""The scorer as an ASGI application."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

from fastapi import FastAPI

from serving.api import batch, card, decisions, fraud_reports, health, model, page, score
from serving.api.docs import add_docs
from serving.api.error_handlers import add_error_handlers
from serving.api.openapi import add_openapi
from serving.clock import Clock, machine_clock
from serving.middleware.allowed_hosts import AllowedHosts, parse_hosts
from serving.middleware.api_keys import ApiKeys, parse_keys
from serving.middleware.auth import Auth
from serving.middleware.body_limit import BodyLimit
from serving.middleware.file_handles import FileHandles
from serving.middleware.gateway import GatewayMiddleware
from serving.middleware.key_file import KeyFile
from serving.middleware.rate_limits import RateCounter
from serving.model.signature_check import SignatureCheck
from serving.observability.metrics import Metrics
from serving.observability.time_budget import TimeBudget
from serving.online_store.store import connect
from serving.scoring.prepare_kernel import prepare_kernel
from serving.services import open_services
from serving.settings import Settings, read_secrets

DESCRIPTION = (
    "Scores card payments: a probability of fraud, a decision and its reasons. Everything under /v1 needs a key in "
    "the header X-API-Key."
)


def create_app(settings: Settings, clock: Clock = machine_clock) -> FastAPI:
    """The application; it connects when it starts. Raises `SettingsError` if a secret is missing."""
    secrets = read_secrets(settings.secrets_dir)
    valkey_password = secrets.valkey_password.get_secret_value()
    counter = RateCounter(connect(settings.valkey_url, valkey_password, settings.scorer_timeout_seconds))
    api_keys = ApiKeys(parse_keys(secrets.api_keys.get_secret_value()), counter)
    signatures = SignatureCheck(settings.secrets_dir, settings.model_name)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # It takes seconds where no installation has compiled it: before the first request, not within it.
        await asyncio.to_thread(prepare_kernel)
        async with aclosing(counter), open_services(settings, secrets, signatures, clock, metrics) as services:
            app.state.services = services
            app.state.metrics_page = TimeBudget(metrics.render)
            services.background.start("api keys", KeyFile(settings.secrets_dir, api_keys, metrics).run())
            services.background.start("file handles", FileHandles().run())
            with without_full_collections():
                yield

    app = FastAPI(
        title="Fraud scorer",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would lead to whatever host the request names.
        redirect_slashes=False,
        # The scorer has its own metrics and logs.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for part in (score, batch, fraud_reports, decisions, model, card, health, page):
        # Not include_router, which matches every request a second time within its router.
        app.router.routes.extend(part.router.routes)
    add_docs(app)
    add_error_handlers(app)
    add_openapi(app)
    app.add_middleware(
        GatewayMiddleware,
        metrics=metrics,
        hosts=AllowedHosts(parse_hosts(settings.scorer_allowed_hosts)),
        auth=Auth(api_keys),
        bodies=BodyLimit(settings.scorer_max_body_bytes),
    )
    return app


@contextmanager
def without_full_collections() -> Iterator[None]:
    """Exclude what exists now, mostly code, from garbage collection: going through it takes 100 ms each time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

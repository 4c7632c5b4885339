"""What the endpoints work with, opened once and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from serving.clock import Clock
from serving.decision_log.log import DecisionLog
from serving.decision_log.outbox_relay import Drain
from serving.model.champion_watcher import Champions
from serving.model.model_cache import LastGood
from serving.model.registry_client import Registry
from serving.observability.background import Background
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.online_store.fraud_reports import Reporting
from serving.online_store.store import OnlineState, connect
from serving.recovery.circuit_breaker import Online
from serving.recovery.recent_answers import Recent
from serving.scoring.degraded import WithoutHistory
from serving.scoring.online import WithHistory
from serving.scoring.scorer import Scorer
from serving.settings import Secrets, Settings

REGISTRY_TIMEOUT_SECONDS = 10.0
START_SECONDS = 5.0
FINISH_SECONDS = 15.0


@dataclass(frozen=True)
class Services:
    """One scorer's parts."""

    clock: Clock
    metrics: Metrics
    state: OnlineState
    online: Online
    champions: Champions
    log: DecisionLog
    scorer: Scorer
    reporting: Reporting
    background: Background


@asynccontextmanager
async def open_services(
    settings: Settings, secrets: Secrets, clock: Clock, metrics: Metrics
) -> AsyncIterator[Services]:
    """Connect and start the background tasks; at the end, stop them and drain what is left.

    Nothing has to be there at the start: what is missing makes `/readyz` say so.
    """
    timeout = settings.scorer_timeout_seconds
    client = connect(settings.valkey_url, secrets.valkey_password.get_secret_value(), timeout)
    log = DecisionLog(settings.decisions_url, secrets.decisions_password.get_secret_value(), timeout)
    await log.open()
    async with httpx.AsyncClient(base_url=settings.mlflow_tracking_uri, timeout=REGISTRY_TIMEOUT_SECONDS) as registry:
        champions = Champions(
            Registry(registry, settings.model_name),
            LastGood(settings.scorer_champion_dir),
            metrics,
            settings.scorer_poll_seconds,
        )
        state = OnlineState(client, timeout)
        recent = Recent()
        online = Online(state, log, recent, clock, metrics)
        drain = Drain(client, log, metrics, online.leave)
        background = Background()
        # Beside other workers nobody should meet one that is not ready. What takes long goes on afterwards.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(online.settle(), champions.refresh()), START_SECONDS)
        background.start("online", online.run())
        background.start("champions", champions.run())
        background.start("drain", drain.run())
        scorer = Scorer(
            champions,
            online,
            WithHistory(state, recent, clock, metrics),
            WithoutHistory(log, recent, clock, metrics, online.put_in),
        )
        try:
            yield Services(
                clock, metrics, state, online, champions, log, scorer, Reporting(state, log, metrics), background
            )
        finally:
            await background.stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(drain.finish(), FINISH_SECONDS)
            await log.close()
            await client.aclose(close_connection_pool=True)
            event("stopped")

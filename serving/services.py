"""The parts that the endpoints use, opened once and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from contracts.addresses import proxy_for
from contracts.labels import DAY
from serving.clock import Clock
from serving.decision_log.backpressure import Backpressure
from serving.decision_log.log import PostgresDecisionLog, connections_per_worker
from serving.decision_log.outbox_relay import OutboxRelay
from serving.decision_log.protocol import DecisionLog, Relay
from serving.decision_log.report_relay import ReportRelay
from serving.model.champion_watcher import ChampionWatcher
from serving.model.model_cache import ModelCache
from serving.model.registry_client import RegistryClient
from serving.model.signature_check import SignatureCheck
from serving.observability.background import Background
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.online_store.fraud_reports import FraudReporter
from serving.online_store.protocol import OnlineStore
from serving.online_store.server_watch import ServerWatch
from serving.online_store.store import ValkeyOnlineStore, connect
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.recovery.confirmer import MAX_REPORT_BYTES, Confirmer, UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.reconciler import Reconciler
from serving.scoring.decision_lookup import DecisionLookup
from serving.scoring.degraded_scorer import DegradedScorer
from serving.scoring.online_scorer import OnlineScorer
from serving.scoring.scorer import Scorer
from serving.settings import Secrets, Settings

REGISTRY_TIMEOUT_SECONDS = 10.0
START_SECONDS = 5.0
WORKER_START_SECONDS = 30.0
"""With several workers, the others answer while one loads the champion; on a busy machine that takes a while."""
FINISH_SECONDS = 15.0


@dataclass(frozen=True)
class Services:
    """One scorer's parts."""

    clock: Clock
    metrics: Metrics
    store: OnlineStore
    server: ServerWatch
    breaker: CircuitBreaker
    champions: ChampionWatcher
    log: DecisionLog
    relays: Sequence[Relay]
    backpressure: Backpressure
    scorer: Scorer
    reporter: FraudReporter
    lookup: DecisionLookup
    background: Background


@asynccontextmanager
async def open_services(
    settings: Settings, secrets: Secrets, signatures: SignatureCheck, clock: Clock, metrics: Metrics
) -> AsyncIterator[Services]:
    """Connect and start the background tasks; at the end, stop them and relay what is left in the outbox.

    Nothing has to be there at the start: `/readyz` says what is missing.
    """
    timeout = settings.scorer_timeout_seconds
    client = connect(settings.valkey_url, secrets.valkey_password.get_secret_value(), timeout)
    connections = connections_per_worker(settings.scorer_workers, settings.scorer_decisions_connections)
    password = secrets.decisions_password.get_secret_value()
    log = PostgresDecisionLog(settings.decisions_url, password, timeout, connections)
    await log.open()
    async with httpx.AsyncClient(
        base_url=settings.mlflow_tracking_uri,
        timeout=REGISTRY_TIMEOUT_SECONDS,
        auth=secrets.mlflow_auth,
        transport=httpx.AsyncHTTPTransport(proxy=proxy_for(settings.mlflow_tracking_uri)),
    ) as registry:
        champions = ChampionWatcher(
            RegistryClient(registry, settings.model_name, settings.scorer_max_bundle_bytes),
            ModelCache(settings.scorer_champion_dir),
            signatures,
            metrics,
            settings.scorer_poll_seconds,
        )
        store = ValkeyOnlineStore(client, timeout, round(settings.scorer_answer_days * DAY), lambda: champions.zone)
        recent = RecentResponses(settings.scorer_unconfirmed_bytes // settings.scorer_workers)
        reports = UnconfirmedReports(MAX_REPORT_BYTES)
        breaker = CircuitBreaker(metrics)
        reconciler = Reconciler(breaker, store, log, recent, reports, metrics)
        backpressure = Backpressure(settings.scorer_max_decisions_waiting, metrics)
        relay = OutboxRelay(client, log, metrics, backpressure, breaker.trip)
        report_relay = ReportRelay(client, log, metrics)
        server = ServerWatch(client, metrics)
        background = Background()
        # Requests should not reach a scorer that is not ready. What takes longer continues in the background.
        await asyncio.gather(
            _within(START_SECONDS, reconciler.wait_until_ready()),
            _within(WORKER_START_SECONDS if settings.scorer_workers > 1 else START_SECONDS, champions.refresh()),
        )
        background.start("reconciler", reconciler.run())
        background.start("champions", champions.run())
        background.start("outbox relay", relay.run())
        background.start("report relay", report_relay.run())
        background.start("server watch", server.run())
        background.start("confirmer", Confirmer(recent, reports, log, metrics).run())
        online = OnlineScorer(store, log, recent, clock, metrics)
        degraded = DegradedScorer(log, recent, clock, metrics, reconciler.backfill, reconciler.stored_answers)
        scorer = Scorer(champions, breaker, online, degraded, backpressure)
        reporter = FraudReporter(store, log, breaker, reports, backpressure, metrics)
        lookup = DecisionLookup(breaker, store, log)
        try:
            yield Services(
                clock, metrics, store, server, breaker, champions, log, (relay, report_relay), backpressure, scorer,
                reporter, lookup, background,
            )  # fmt: skip
        finally:
            await background.stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(relay.finish(), report_relay.finish()), FINISH_SECONDS)
            await log.close()
            await client.aclose(close_connection_pool=True)
            event("stopped")


async def _within(seconds: float, work: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)

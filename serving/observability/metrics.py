"""The scorer's Prometheus metrics."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that makes Prometheus's client merge the metrics of several workers."""
_BUCKETS: Final = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_STEP_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """One scorer's metrics, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._shown: tuple[str, str] | None = None

        self.requests = counter("scorer_requests", "Requests handled", ["route", "status"])
        self.latency = histogram("scorer_request_seconds", "Time to respond to a request", ["route"], buckets=_BUCKETS)
        self.steps = histogram(
            "scorer_step_seconds", "Time of a step: claim, features, score or store", ["step"], buckets=_STEP_BUCKETS
        )
        self.rounds = histogram(
            "scorer_round_payments", "Payments scored in one round", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
        )
        self.decisions = counter("scorer_decisions", "First responses", ["decision"])
        self.repeated = counter("scorer_repeated", "Repeated responses")
        self.unchecked = counter(
            "scorer_old_ids_unchecked",
            "Payments with old ids scored while the decision log could not be asked for them",
        )
        self.late = counter("scorer_late", "Payments that arrived after a later one of their customer or terminal")
        self.degraded = counter("scorer_degraded", "Payments scored on less than their whole history")
        self.online = gauge(
            "scorer_online_state_in_use", "1 while payments are scored with history", multiprocess_mode="livemin"
        )
        self.repaired = counter("scorer_repaired", "Degraded payments backfilled into the online store")
        self.reports = counter("scorer_reports", "Fraud reports", ["outcome"])
        self.models_refused = counter("scorer_models_refused", "Model versions rejected")
        self.model = gauge(
            "scorer_model_info", "The model in use", ["version", "features_version"], multiprocess_mode="livemax"
        )
        self.model_loaded = gauge(
            "scorer_model_loaded_timestamp_seconds", "When the model in use was loaded", multiprocess_mode="livemin"
        )
        self.model_problem = gauge(
            "scorer_model_problem",
            "1 while the registry's champion is not in use or not known",
            multiprocess_mode="livemax",
        )
        self.api_keys_problem = gauge(
            "scorer_api_keys_problem", "1 while the file of the API keys is invalid", multiprocess_mode="livemax"
        )
        self.waiting = gauge(
            "scorer_decisions_waiting", "Decisions not in PostgreSQL yet", multiprocess_mode="livemostrecent"
        )
        self.store_memory = gauge(
            "scorer_store_memory_ratio",
            "Valkey's used memory as a share of maxmemory, 0 without a limit",
            multiprocess_mode="livemostrecent",
        )
        self.store_settings = gauge(
            "scorer_store_settings_problem",
            "1 while Valkey's settings put the online state at risk",
            multiprocess_mode="livemax",
        )
        self.drained = counter("scorer_decisions_drained", "Decisions written to PostgreSQL")
        self.set_aside = counter(
            "scorer_decisions_set_aside", "Decisions that PostgreSQL rejects, kept in a stream of their own"
        )

        self.reports_waiting = gauge(
            "scorer_fraud_reports_waiting",
            "Entries of accepted fraud reports that are not in PostgreSQL yet",
            multiprocess_mode="livemostrecent",
        )
        self.unconfirmed = gauge(
            "scorer_unconfirmed",
            "Responses and fraud reports not known to be in PostgreSQL yet, kept in memory until they are",
            multiprocess_mode="livesum",
        )
        self.unconfirmed_dropped = counter(
            "scorer_unconfirmed_dropped", "Responses and fraud reports dropped from memory before they were confirmed"
        )

        # Finding a labelled metric takes longer than changing it. Labels have few values.
        self.request = cache(self.requests.labels)
        self.latency_of = cache(self.latency.labels)
        self.step = cache(self.steps.labels)
        self.decision = cache(self.decisions.labels)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count and time a response."""
        self.request(route, status).inc()
        self.latency_of(route).observe(seconds)

    def show_model(self, version: str, features_version: str) -> None:
        """Set the model in use."""
        self.show_no_model()
        self._shown = (version, features_version)
        self.model.labels(*self._shown).set(1)
        self.model_loaded.set_to_current_time()

    def show_no_model(self) -> None:
        """Say that the model shown last is not in use."""
        if self._shown:
            # Set to 0 rather than removed: a removal would not reach the file that workers share.
            self.model.labels(*self._shown).set(0)
        self._shown = None

    def render(self) -> bytes:
        """All metrics in Prometheus's text format, merged over the workers."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self.registry)
        _remove_dead_workers(os.environ[MULTIPROCESS])
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _remove_dead_workers(folder: str) -> None:
    """Remove the gauges of workers that were killed; their counters stay."""
    for file in Path(folder).glob("gauge_live*_*.db"):
        number = file.stem.rpartition("_")[2]
        if not _is_alive(int(number)):
            # Another worker may remove it first.
            with suppress(FileNotFoundError):
                mark_process_dead(number)  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    """Whether a process is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

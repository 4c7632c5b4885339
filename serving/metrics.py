"""What the scorer tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """One scorer's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("scorer_requests", "Requests answered", ["route", "status"], registry=self.registry)
        self.latency = Histogram(
            "scorer_request_seconds", "Time to answer a request", ["route"], buckets=_BUCKETS, registry=self.registry
        )
        self.decisions = Counter("scorer_decisions", "Payments answered first", ["decision"], registry=self.registry)
        self.repeated = Counter("scorer_repeated", "Payments that got their first answer again", registry=self.registry)
        self.late = Counter("scorer_late", "Payments that came after a later one of theirs", registry=self.registry)
        self.degraded = Counter("scorer_degraded", "Payments whose history was cut short", registry=self.registry)
        self.online = Gauge("scorer_online_state_in_use", "1 while payments are scored whole", registry=self.registry)
        self.repaired = Counter(
            "scorer_repaired", "Payments put into the online state after they were scored", registry=self.registry
        )
        self.reports = Counter("scorer_reports", "Fraud reports", ["outcome"], registry=self.registry)
        self.models_refused = Counter("scorer_models_refused", "Model versions refused", registry=self.registry)
        self.model = Gauge(
            "scorer_model_info", "The model in use", ["version", "features_version"], registry=self.registry
        )
        self.model_problem = Gauge(
            "scorer_model_problem", "1 while the registry's champion is not in use or not known", registry=self.registry
        )
        self.waiting = Gauge("scorer_decisions_waiting", "Decisions not in PostgreSQL yet", registry=self.registry)
        self.drained = Counter("scorer_decisions_drained", "Decisions written to PostgreSQL", registry=self.registry)

    def show_model(self, version: str, features_version: str) -> None:
        """Say which model is in use."""
        self.model.clear()
        self.model.labels(version, features_version).set(1)

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)

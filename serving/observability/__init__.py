"""Metrics, logs, readiness and dashboards."""

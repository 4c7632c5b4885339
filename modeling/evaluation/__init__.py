"""Metrics, costs, thresholds, and the gate."""

"""Metrics, costs, thresholds, calibration, intervals and the gate."""

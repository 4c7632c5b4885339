"""The files that `prepare` writes and the load generator reads, in one folder."""

from __future__ import annotations

from typing import Final

PAYMENTS: Final = "payments.jsonl"
BATCHES: Final = "batches.jsonl"
FRAMES: Final = "frames.jsonl"
ROWS: Final = "rows.jsonl"
MODEL: Final = "model"
PAYMENTS_IN_A_BATCH: Final = 1_000
KEY_VARIABLE: Final = "SCORER_API_KEY"
"""The environment variable by which the load generator gets its key: an option would show it to everyone."""

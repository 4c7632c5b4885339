"""Names shared by the benchmark's programs: files, a path, an environment variable."""

from __future__ import annotations

from typing import Final

PAYMENTS: Final = "payments.jsonl"
BATCHES: Final = "batches.jsonl"
FRAMES: Final = "frames.jsonl"
ROWS: Final = "rows.jsonl"
MODEL: Final = "model"
PAYMENTS_IN_A_BATCH: Final = 1_000
NO_OP_PATH: Final = "/v1/score/nothing"
KEY_VARIABLE: Final = "SCORER_API_KEY"
"""The environment variable with the load generator's API key; a command-line option would be visible to all users."""

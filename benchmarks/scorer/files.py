"""What the programs of the benchmark agree on: the files of one folder, an address, a variable."""

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
"""The environment variable by which the load generator gets its key: an option would show it to everyone."""

"""Features of a terminal's latest run of known frauds: its length, its age and the genuine payments after it.

At t, the terminal's payments in (t - delay - 30 d, t - delay] are visible; each counts as a fraud if that is known at
t, else as genuine. A run is a sequence of frauds with no genuine payment in between: a compromised terminal produces
one long run, a stolen card produces runs of length one.

| feature | what it is |
|---|---|
| `terminal_fraud_run_length` | the payments of the latest run, 0 without one |
| `terminal_days_since_run_start`, `terminal_days_since_fraud` | the age of its first and of its last payment |
| `terminal_days_since_genuine` | the age of the latest genuine payment |
| `terminal_days_since_genuine_before_run` | the age of the latest genuine payment before the run |
| `terminal_genuine_since_fraud` | the payments after the run; all visible ones without a run |
| `terminal_fraud_run_amount_mean` | the run's mean amount: usual at a compromised terminal, larger with stolen cards |

They are computed in `contracts/kernel.py`: `terminal_into`, `run_into`.
"""

from __future__ import annotations

from typing import Final

from contracts.labels import LABEL_DELAY_DAYS

RUN_WINDOW_DAYS: Final = 30
NO_SUCH_DAYS: Final = float(LABEL_DELAY_DAYS + RUN_WINDOW_DAYS)
"""The age in days given to a missing payment: more than any visible payment has."""
FRAUD_RUN_FEATURES: Final = (
    "terminal_fraud_run_length",
    "terminal_days_since_run_start",
    "terminal_days_since_fraud",
    "terminal_days_since_genuine",
    "terminal_days_since_genuine_before_run",
    "terminal_genuine_since_fraud",
    "terminal_fraud_run_amount_mean",
)

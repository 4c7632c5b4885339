"""The latest run of known frauds at a terminal: how long, how old, and whether genuine payments came after it.

Seen at t are the terminal's payments in (t - delay - 30 d, t - delay], each a fraud where that is known at t. A run is
a stretch of frauds with no payment between them that counts as genuine: a terminal that steals makes one long run, a
single stolen card makes runs of one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from contracts.histories import Floats, History, Ints, latest, prefix_sums
from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS, NEVER, known_from

RUN_WINDOW_DAYS: Final = 30
NO_SUCH_DAYS: Final = float(LABEL_DELAY_DAYS + RUN_WINDOW_DAYS)
"""The age, in days, of what is not there: older than all that is."""
FRAUD_RUN_FEATURES: Final = (
    "terminal_fraud_run_length",
    "terminal_days_since_run_start",
    "terminal_days_since_fraud",
    "terminal_days_since_genuine",
    "terminal_days_since_genuine_before_run",
    "terminal_genuine_since_fraud",
    "terminal_fraud_run_amount_mean",
)


def fraud_run_features(history: History, cents: Ints, reported: Ints) -> dict[str, Floats]:
    """`FRAUD_RUN_FEATURES` of the payments that ask, each of shape (len(rows),).

    `reported` is the second of each payment's earliest report, `NEVER` without one; it and `cents` have the history's
    length. The amounts tell what stole: a terminal takes what its customers usually pay, a stolen card more; 0 without
    a run.
    """
    start = history.first_after(LABEL_DELAY + RUN_WINDOW_DAYS * DAY)
    end = history.first_after(LABEL_DELAY)
    seen = _Seen(history.occurred, reported, start, history.occurred[history.rows])
    fraud, genuine = seen.last_fraud(end), seen.last_genuine(end)
    before = seen.last_genuine(fraud)
    first = np.maximum(before + 1, start)
    there = fraud >= 0
    length = np.where(there, fraud - first + 1, 0)
    total = prefix_sums(cents)
    # Where there is no run, of nothing from 0 to 0.
    end_of_run, start_of_run = np.where(there, fraud + 1, 0), np.where(there, first, 0)
    return {
        "terminal_fraud_run_length": length.astype(np.float64),
        "terminal_days_since_run_start": seen.days_since(np.where(there, first, -1)),
        "terminal_days_since_fraud": seen.days_since(fraud),
        "terminal_days_since_genuine": seen.days_since(genuine),
        "terminal_days_since_genuine_before_run": seen.days_since(before),
        # After the latest known fraud, everything seen counts as genuine.
        "terminal_genuine_since_fraud": np.where(there, end - 1 - fraud, end - start).astype(np.float64),
        "terminal_fraud_run_amount_mean": (total[end_of_run] - total[start_of_run]) / (100 * np.maximum(length, 1)),
    }


class _Seen:
    """What each row sees of its terminal's payments from `start` on, knowing what is known at `now`; shape (rows,)."""

    def __init__(self, occurred: Ints, reported: Ints, start: Ints, now: Ints) -> None:
        self._occurred, self._start, self._now = occurred, start, now
        self._known = known_from(occurred, reported)
        # Most reports come within the delay: such a payment is a fraud to whoever can see it. Those that come later
        # change from genuine to fraud while they are seen, and are looked at one by one.
        late = (reported > occurred + LABEL_DELAY) & (reported != NEVER)
        self._frauds, self._genuine = latest(~late & (reported != NEVER)), latest(reported == NEVER)
        self._late = latest(late)

    def last_fraud(self, before: Ints) -> Ints:
        """The last payment before these positions that is known to be a fraud, -1 where there is none."""
        return self._last(self._frauds, before, frauds=True)

    def last_genuine(self, before: Ints) -> Ints:
        """The last payment before these positions that counts as genuine, -1 where there is none."""
        return self._last(self._genuine, before, frauds=False)

    def days_since(self, positions: Ints) -> Floats:
        """The age of these payments in days, `NO_SUCH_DAYS` for -1."""
        if len(self._occurred) == 0:
            return np.empty(0)
        return np.where(positions < 0, NO_SUCH_DAYS, (self._now - self._occurred[positions]) / DAY)

    def _last(self, always: Ints, before: Ints, *, frauds: bool) -> Ints:
        before = np.maximum(before, 0)
        found = always[before]
        late = self._late[before]
        # Mostly there is none that matters: only the rows that have one are looked at again.
        asking = np.flatnonzero((late > found) & (late >= self._start))
        while len(asking := asking[(self._known[late[asking]] <= self._now[asking]) != frauds]):
            late[asking] = self._late[late[asking]]
            asking = asking[(late[asking] > found[asking]) & (late[asking] >= self._start[asking])]
        found = np.maximum(found, late)
        return np.where(found >= self._start, found, -1)

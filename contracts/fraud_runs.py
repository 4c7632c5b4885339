"""Features of a terminal's latest run of known frauds: its length, its age and the genuine payments after it.

At t, the terminal's payments in (t - delay - 30 d, t - delay] are visible; each counts as a fraud if that is known at
t, else as genuine. A run is a sequence of frauds with no genuine payment in between: a compromised terminal produces
one long run, a stolen card produces runs of length one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from contracts.histories import Floats, History, Ints, latest, prefix_sums
from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS, NEVER, known_from

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


def fraud_run_features(history: History, cents: Ints, reported: Ints) -> dict[str, Floats]:
    """`FRAUD_RUN_FEATURES` of the payments at `history.rows`, each of shape (len(rows),).

    `reported` is the second of each payment's earliest report, `NEVER` without one; `reported` and `cents` have the
    history's length. The run's mean amount separates compromised terminals, with usual amounts, from stolen cards, with
    larger ones; it is 0 without a run.
    """
    start = history.first_after(LABEL_DELAY + RUN_WINDOW_DAYS * DAY)
    end = history.first_after(LABEL_DELAY)
    visible = _Visible(history.occurred, reported, start, history.occurred[history.rows])
    fraud, genuine = visible.last_fraud(end), visible.last_genuine(end)
    before = visible.last_genuine(fraud)
    first = np.maximum(before + 1, start)
    has_run = fraud >= 0
    length = np.where(has_run, fraud - first + 1, 0)
    total = prefix_sums(cents)
    # Without a run, both ends are 0, so that its sum is 0.
    end_of_run, start_of_run = np.where(has_run, fraud + 1, 0), np.where(has_run, first, 0)
    return {
        "terminal_fraud_run_length": length.astype(np.float64),
        "terminal_days_since_run_start": visible.days_since(np.where(has_run, first, -1)),
        "terminal_days_since_fraud": visible.days_since(fraud),
        "terminal_days_since_genuine": visible.days_since(genuine),
        "terminal_days_since_genuine_before_run": visible.days_since(before),
        # All visible payments after the latest known fraud count as genuine.
        "terminal_genuine_since_fraud": np.where(has_run, end - 1 - fraud, end - start).astype(np.float64),
        "terminal_fraud_run_amount_mean": (total[end_of_run] - total[start_of_run]) / (100 * np.maximum(length, 1)),
    }


class _Visible:
    """The payments visible to each row: its terminal's from position `start` on, labelled as known at `now`.

    `start` and `now` have shape (rows,).
    """

    def __init__(self, occurred: Ints, reported: Ints, start: Ints, now: Ints) -> None:
        self._occurred, self._start, self._now = occurred, start, now
        self._known = known_from(occurred, reported)
        # Most reports come within the label delay, so the payment is a fraud for every row that sees it. A payment
        # reported later changes from genuine to fraud while it is visible and needs a check for each row.
        late = (reported > occurred + LABEL_DELAY) & (reported != NEVER)
        self._frauds, self._genuine = latest(~late & (reported != NEVER)), latest(reported == NEVER)
        self._late = latest(late)

    def last_fraud(self, before: Ints) -> Ints:
        """For each row, the position of the last known fraud before position `before`; -1 if there is none."""
        return self._last(self._frauds, before, frauds=True)

    def last_genuine(self, before: Ints) -> Ints:
        """For each row, the position of the last genuine payment before position `before`; -1 if there is none."""
        return self._last(self._genuine, before, frauds=False)

    def days_since(self, positions: Ints) -> Floats:
        """The age in days of the payments at `positions`; `NO_SUCH_DAYS` for -1."""
        if len(self._occurred) == 0:
            return np.empty(0)
        return np.where(positions < 0, NO_SUCH_DAYS, (self._now - self._occurred[positions]) / DAY)

    def _last(self, always: Ints, before: Ints, *, frauds: bool) -> Ints:
        before = np.maximum(before, 0)
        found = always[before]
        late = self._late[before]
        # Few rows have a late report that matters: only those are searched further.
        asking = np.flatnonzero((late > found) & (late >= self._start))
        while len(asking := asking[(self._known[late[asking]] <= self._now[asking]) != frauds]):
            late[asking] = self._late[late[asking]]
            asking = asking[(late[asking] > found[asking]) & (late[asking] >= self._start[asking])]
        found = np.maximum(found, late)
        return np.where(found >= self._start, found, -1)

"""The kernel in NumPy, vectorised over all rows: written independently of the compiled one, which must equal it.

It was the kernel until Numba took its place; `tests/feature_definitions.py` has the literal definitions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import CUSTOMER_HORIZON_DAYS, LAST_NIGHT_HOUR, TERMINAL_HORIZON_DAYS, WINDOW_DAYS
from contracts.fraud_runs import NO_SUCH_DAYS, RUN_WINDOW_DAYS
from contracts.habit import EXTREME, HABIT_DAYS, HABIT_FEATURES, HABIT_PAYMENTS, RECENT_DAYS
from contracts.histories import Floats, Ints
from contracts.labels import DAY, LABEL_DELAY, NEVER, known_from
from contracts.zones import UTC, Zone

Bools = NDArray[np.bool_]
FIRST_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
REACH: Final = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS) * DAY
_ROWS_AT_ONCE: Final = 16_384
_ABSENT: Final = np.int64(2**60)


def payment_features(occurred: Ints, cents: Ints, zone: Zone = UTC) -> dict[str, Floats]:
    """`PAYMENT_FEATURES`, computed from the payment alone, each of shape (n,). Night and weekend are in `zone`."""
    local = zone.local(occurred)
    weekday = (local // DAY + FIRST_WEEKDAY) % 7
    hour = local % DAY // 3600
    return {
        "amount": cents / 100,
        "is_weekend": (weekday >= 5).astype(np.float64),
        "is_night": (hour <= LAST_NIGHT_HOUR).astype(np.float64),
    }


def customer_features(entity: Ints, occurred: Ints, cents: Ints, rows: Ints) -> dict[str, Floats]:
    """`CUSTOMER_FEATURES` of the payments at `rows`, each of shape (len(rows),), over the windows (t - w, t].

    Raises ValueError if the history is not sorted.
    """
    history = History(entity, occurred, rows, REACH)
    total, end = prefix_sums(cents), rows + 1
    features: dict[str, Floats] = {}
    for days in WINDOW_DAYS:
        start = history.first_after(days * DAY)
        count = end - start
        features[f"customer_tx_count_{days}d"] = count.astype(np.float64)
        features[f"customer_amount_mean_{days}d"] = (total[end] - total[start]) / (100 * count)
    return features | habit_features(history, cents)


def terminal_features(entity: Ints, occurred: Ints, cents: Ints, reported: Ints, rows: Ints) -> dict[str, Floats]:
    """`TERMINAL_FEATURES` of the payments at `rows`, each of shape (len(rows),), over (t - delay - w, t - delay].

    `reported` is the second of each payment's earliest fraud report, `NEVER` without one. The fraud rate is the share
    of the window's payments that are known at t to be frauds, 0 for an empty window. Raises ValueError if the history
    is not sorted.
    """
    history = History(entity, occurred, rows, REACH)
    end = history.first_after(LABEL_DELAY)
    frauds = np.flatnonzero(reported != NEVER)
    known_after = known_from(occurred[frauds], reported[frauds]) - occurred[frauds]
    known = history.arrived(frauds, known_after)
    features: dict[str, Floats] = {}
    for days in WINDOW_DAYS:
        leaves_after = LABEL_DELAY + days * DAY
        count = end - history.first_after(leaves_after)
        # A fraud counts from when it becomes known until it leaves the window; if known after that, it never counts.
        left = history.arrived(frauds, np.maximum(known_after, leaves_after))
        features[f"terminal_tx_count_{days}d"] = count.astype(np.float64)
        features[f"terminal_fraud_rate_{days}d"] = (known - left) / np.maximum(count, 1)
    return features | fraud_run_features(history, cents, reported)


def habit_features(history: History, cents: Ints) -> dict[str, Floats]:
    """`HABIT_FEATURES` of the payments at `history.rows`, each of shape (len(rows),); `cents` has the history's length.

    Without earlier payments the amount counts as usual (ratios 1, deviations 0) and nothing as extreme.
    """
    rows = history.rows
    start = np.maximum(history.first_after(HABIT_DAYS * DAY), rows - HABIT_PAYMENTS)
    if len(rows) <= _ROWS_AT_ONCE:
        return _few(history.occurred, cents, rows, start)
    parts = [
        _few(history.occurred, cents, rows[at : at + _ROWS_AT_ONCE], start[at : at + _ROWS_AT_ONCE])
        for at in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in HABIT_FEATURES}


def _few(occurred: Ints, cents: Ints, rows: Ints, start: Ints) -> dict[str, Floats]:
    """The features of one chunk of rows, computed in arrays of shape (rows, longest habit)."""
    count, own = rows - start, cents[rows]
    at = rows[:, np.newaxis] - np.arange(count.max(initial=0), 0, -1)
    there = at >= start[:, np.newaxis]
    at = np.maximum(at, 0)
    amounts, ages = cents[at] * there, occurred[rows][:, np.newaxis] - occurred[at]
    ranked = np.sort(np.where(there, amounts, _ABSENT), axis=1)
    # Twice the median and four times the median deviation, because halves would not be integers.
    median2 = _twice_median(ranked, count)
    away = np.where(there, np.abs(2 * amounts - median2[:, np.newaxis]), _ABSENT)
    deviation4 = _twice_median(np.sort(away, axis=1), count)
    quartile = _ranked(ranked, count, (3 * count) // 4)
    known = count > 0
    features = {
        "customer_amount_median": median2 / 200,
        "customer_amount_deviation": deviation4 / 400,
        "amount_to_median": np.where(known, 2 * own / np.maximum(median2, 1), 1.0),
        "amount_to_upper_quartile": np.where(known, own / np.maximum(quartile, 1), 1.0),
        # The deviation of equal amounts is 0, so it is floored at a twentieth of the median.
        "amount_deviations": np.where(
            known, (40 * own - 20 * median2) / np.maximum(np.maximum(10 * deviation4, median2), 10), 0.0
        ),
    }
    extreme = 2 * EXTREME[1] * amounts > EXTREME[0] * median2[:, np.newaxis]
    for days in RECENT_DAYS:
        recent = ages < days * DAY
        most = (amounts * recent).max(axis=1, initial=0)
        features[f"customer_max_to_median_{days}d"] = 2 * most / np.maximum(median2, 1)
        features[f"customer_extreme_count_{days}d"] = (extreme & recent).sum(axis=1).astype(np.float64)
    since = np.where(extreme, ages, HABIT_DAYS * DAY).min(axis=1, initial=HABIT_DAYS * DAY)
    features["customer_days_since_extreme"] = since / DAY
    return features


def _twice_median(ranked: Ints, count: Ints) -> Ints:
    """Twice the median of the first `count` values of each sorted row; 0 where `count` is 0."""
    return _ranked(ranked, count, (count - 1) // 2) + _ranked(ranked, count, count // 2)


def _ranked(ranked: Ints, count: Ints, rank: Ints) -> Ints:
    """The value at index `rank` of each sorted row; 0 where `count` is 0."""
    if ranked.shape[1] == 0:
        return np.zeros(len(ranked), dtype=np.int64)
    # Where `count` is 0, `rank` may be -1 and the value is discarded.
    return np.where(count > 0, ranked[np.arange(len(ranked)), rank], 0)


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


class History:
    """Maps (entity, second) to one integer key, so that a search over many entities is a single `searchsorted`.

    `reach` is the longest window, in seconds. Raises ValueError if the history is not sorted.
    """

    def __init__(self, entity: Ints, occurred: Ints, rows: Ints, reach: int) -> None:
        self.occurred, self.rows = occurred, rows
        self._rank = np.zeros(len(entity), dtype=np.int64)
        np.cumsum(entity[1:] != entity[:-1], out=self._rank[1:])
        # A gap of `reach` below each entity's earliest second keeps searches from running into the previous entity;
        # events up to `reach` after an entity's latest payment fall into the next entity's gap, before its payments.
        self._base = int(occurred.min()) - reach if len(occurred) else 0
        self._span = int(occurred.max()) - self._base + 1 if len(occurred) else 1
        self._keys = self._rank * self._span + (occurred - self._base)
        if (entity[1:] < entity[:-1]).any() or (self._keys[1:] < self._keys[:-1]).any():
            raise ValueError("the history must be sorted by entity and time")
        self._asking = self._keys[rows]

    def first_after(self, ago: int) -> Ints:
        """For each row at time t, the position of its entity's first payment after t - `ago` seconds; shape (rows,)."""
        return self._keys.searchsorted(self._asking - ago, side="right")

    def arrived(self, positions: Ints, ago: Ints) -> Ints:
        """For each row at time t, the number of events up to t; shape (rows,).

        Events are `ago` seconds after the payments at `positions`. Events of all preceding entities are included; they
        cancel out in the difference of two such counts.
        """
        events = self._keys[positions] + ago
        events.sort()
        return events.searchsorted(self._asking, side="right")


def prefix_sums(values: Ints) -> Ints:
    """The sums of the first 0, 1, ... n values, shape (n + 1,)."""
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))


def latest(chosen: Bools) -> Ints:
    """For each position 0 to n, the last chosen position before it, -1 if there is none; shape (n + 1,)."""
    at = np.where(chosen, np.arange(len(chosen)), -1)
    return np.concatenate(([-1], np.maximum.accumulate(at)))

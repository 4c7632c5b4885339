"""Read the data of the exploration: all clean payments with their labels, and a sample with features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY, NEVER, known_from
from contracts.transaction import from_epoch_seconds
from modeling.data.lake import (
    FILE,
    UNKNOWN_PATTERN,
    read_clean,
    read_features,
    read_reports,
    read_unknown_labels,
    seconds,
    whole_history,
)

Frame = Any
"""A pandas DataFrame; pandas publishes no types."""

SAMPLE_A_DAY: Final = 1_000
SEED: Final = 0
WEEK: Final = 7 * DAY


@dataclass(frozen=True)
class ExplorationData:
    """The lake's payments, with labels as of the second `now`, the first after the lake's last day.

    `payments` has one row for each payment, in order of time, with columns transaction_id, customer_id, terminal_id,
    amount, occurred (seconds since 1970), reported (seconds, `NEVER` without a report), known (the second from which it
    is known to be a fraud), fraud (known by now), unknown (the bank says that it does not know the label), settled (old
    enough for a fraud to be known by now, and the label is not unknown), pattern (one of FRAUD_PATTERNS, or
    `UNKNOWN_PATTERN`). A payment with an unknown label counts neither as fraud nor as genuine, even if it is reported.

    `sample` has the same columns and `FEATURES`: `SAMPLE_A_DAY` random payments of each day (`drawn`) and all frauds.
    """

    days: DayRange
    now: int
    payments: Frame
    sample: Frame

    @property
    def settled(self) -> Frame:
        """The payments older than the label delay whose label is not unknown."""
        return self.payments[self.payments["settled"]]

    @property
    def frauds(self) -> Frame:
        """The payments known to be frauds."""
        return self.payments[self.payments["fraud"]]

    @property
    def patterns(self) -> list[int]:
        """The pattern codes in the reports, sorted."""
        return sorted(set(self.frauds["pattern"]) - {UNKNOWN_PATTERN})


def read_lake(lake: Path) -> ExplorationData:
    """Read the payments of all days with features. Raises `ModelingError` for missing data."""
    days = whole_history(lake)
    now = days.end_second
    payments = _with_labels(_payments(lake, days), lake, now)
    return ExplorationData(days, now, payments, _sample(lake, payments))


def _payments(lake: Path, days: DayRange) -> Frame:
    table = read_clean(lake, days)
    table = table.append_column("occurred", seconds(table["occurred_at"])).drop_columns(["occurred_at"])
    payments = table.to_pandas().sort_values(["occurred", "transaction_id"], ignore_index=True)
    payments["amount"] = payments.pop("amount_cents") / 100
    return payments


def _with_labels(payments: Frame, lake: Path, now: int) -> Frame:
    numbers, occurred = payments["transaction_id"], payments["occurred"].to_numpy()
    reports = _reports(lake, now)
    unknown = np.isin(numbers.to_numpy(), read_unknown_labels(lake))
    found = numbers.map(reports["reported"]).fillna(-1).astype("int64").to_numpy()
    reported = np.where((found < 0) | unknown, NEVER, found)
    known = known_from(occurred, reported)
    return payments.assign(
        reported=reported,
        known=known,
        fraud=known <= now,
        unknown=unknown,
        settled=(occurred + LABEL_DELAY <= now) & ~unknown,
        pattern=numbers.map(reports["pattern"]).fillna(UNKNOWN_PATTERN).astype("int64"),
    )


def _reports(lake: Path, now: int) -> Frame:
    """Each payment's earliest report up to now, with columns reported and pattern; index transaction_id."""
    import pandas as pd

    if not any((lake / "reports").glob(f"day=*/{FILE}")):
        return pd.DataFrame({"reported": [], "pattern": []}, dtype="int64")
    return read_reports(lake, now).to_pandas().set_index("transaction_id")


def _sample(lake: Path, payments: Frame) -> Frame:
    import pandas as pd

    rng = np.random.default_rng(SEED)
    parts = []
    for day, of_day in payments.groupby(payments["occurred"] // DAY):
        date = from_epoch_seconds(int(day) * DAY).date()
        drawn = _draw(len(of_day), rng)
        kept = of_day.assign(drawn=drawn)[drawn | of_day["fraud"].to_numpy()]
        features = read_features(lake, DayRange(date, date)).select(["transaction_id", *FEATURES])
        features = features.filter(np.isin(features["transaction_id"].to_numpy(), kept["transaction_id"].to_numpy()))
        # The feature `amount` is the payment's own.
        parts.append(kept.drop(columns="amount").merge(features.to_pandas(), on="transaction_id"))
    return pd.concat(parts, ignore_index=True)


def _draw(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    drawn = np.zeros(count, dtype=bool)
    drawn[rng.permutation(count)[:SAMPLE_A_DAY]] = True
    return drawn

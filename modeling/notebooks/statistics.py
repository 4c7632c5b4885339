"""The exploration's statistics: pure functions from payments to numbers.

Payments are data frames with the columns of `modeling.notebooks.payments.ExplorationData`. Shares are between 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURES
from contracts.labels import DAY
from modeling.evaluation.intervals import wilson
from modeling.notebooks.payments import SEED, WEEK, Frame

Floats = NDArray[np.float64]

BANDS: Final = 10
NEAR_DAYS: Final = 7
LOOK_BACK_DAYS: Final = 21
MIN_FRAUDS: Final = 5
"""The fewest frauds and the fewest genuine payments for which medians and AUCs are computed."""


def fraud_shares(settled: Frame, key: Frame) -> Frame:
    """Group settled payments by `key`: payments, frauds, share, and its 95% Wilson interval, low and high."""
    table = settled.groupby(key, observed=True)["fraud"].agg(payments="size", frauds="sum")
    table["share"] = table["frauds"] / table["payments"]
    bounds = [wilson(int(row.frauds), int(row.payments)) for row in table.itertuples()]
    table["low"], table["high"] = zip(*bounds, strict=True) if bounds else ([], [])
    return table


def bands(values: Frame) -> Frame:
    """Cut values into at most `BANDS` bands of about equal size."""
    import pandas as pd

    cut = pd.qcut(values, BANDS, duplicates="drop", precision=2)
    # If all values are equal, qcut returns no bands.
    return pd.cut(values, 1) if cut.isna().all() else cut


def against_habit(payments: Frame) -> Frame:
    """Each amount as a multiple of its customer's median over the whole period; missing if the median is 0."""
    median = payments.groupby("customer_id")["amount"].transform("median")
    return (payments["amount"] / median).where(median > 0)


def hours(payments: Frame) -> Frame:
    """The hour of each payment, UTC."""
    return (payments["occurred"] % DAY // 3600).rename("hour")


def dates(payments: Frame) -> Frame:
    """The day of each payment, UTC."""
    import pandas as pd

    return pd.to_datetime(payments["occurred"] // DAY * DAY, unit="s").rename("day")


def weeks(payments: Frame, first_second: int) -> Frame:
    """The first day of the week of each payment; weeks are counted from `first_second`."""
    import pandas as pd

    number = (payments["occurred"] - first_second) // WEEK
    return pd.to_datetime(first_second + number * WEEK, unit="s").rename("week")


@dataclass(frozen=True)
class Clusters:
    """How frauds cluster at one kind of entity; `_by_chance` is for as many frauds assigned to random payments."""

    entities: int
    hit: int
    frauds: int
    near: float
    """The share of frauds with another fraud of the same entity within `NEAR_DAYS` days."""
    near_by_chance: float
    gaps: Floats
    """Days from each fraud to the next of the same entity."""
    gaps_by_chance: Floats
    longest: int
    """The length of the longest streak of frauds without a genuine payment of the entity in between."""
    longest_days: float
    """The duration of that streak, in days."""
    longest_of: int
    """The entity of that streak."""

    @property
    def excess(self) -> float:
        """The difference of `near` to `near_by_chance`."""
        return self.near - self.near_by_chance


def clusters(payments: Frame, entity: str) -> Clusters:
    """How the frauds of the settled payments cluster by the column `entity`; needs at least one fraud."""
    settled = payments[payments["settled"]]
    at, when, fraud = (settled[name].to_numpy() for name in (entity, "occurred", "fraud"))
    shuffled = np.random.default_rng(SEED).permutation(fraud)
    gaps, near = _gaps(at[fraud], when[fraud])
    chance_gaps, chance_near = _gaps(at[shuffled], when[shuffled])
    rows = streaks(settled, entity)
    longest = rows.loc[rows["length"].idxmax()]
    return Clusters(
        entities=len(np.unique(at)),
        hit=len(np.unique(at[fraud])),
        frauds=int(fraud.sum()),
        near=near,
        near_by_chance=chance_near,
        gaps=gaps,
        gaps_by_chance=chance_gaps,
        longest=int(longest["length"]),
        longest_days=float(longest["last"] - longest["first"]) / DAY,
        longest_of=int(longest["entity"]),
    )


def streaks(payments: Frame, entity: str) -> Frame:
    """The streaks of frauds of each entity without a genuine payment in between.

    Columns: entity, length, first, last (seconds).
    """
    ordered = payments.sort_values([entity, "occurred", "transaction_id"])
    # Frauds of an entity with equally many genuine payments before them are one streak.
    genuine_before = (~ordered["fraud"]).cumsum()
    frauds = ordered.assign(run=genuine_before)[ordered["fraud"]]
    runs = frauds.groupby([entity, "run"])["occurred"].agg(length="size", first="min", last="max").reset_index()
    return runs.rename(columns={entity: "entity"}).drop(columns="run")


def _gaps(at: NDArray[np.int64], when: NDArray[np.int64]) -> tuple[Floats, float]:
    """Days from each event to the next of its entity, and the share of events with another within `NEAR_DAYS`."""
    order = np.lexsort((when, at))
    at, when = at[order], when[order]
    same = at[1:] == at[:-1]
    days = np.diff(when) / DAY
    close = same & (days <= NEAR_DAYS)
    near = np.zeros(len(at), dtype=bool)
    near[1:] |= close
    near[:-1] |= close
    return days[same], float(near.mean())


def top_share(payments: Frame, entity: str, share: float = 0.01) -> tuple[int, float]:
    """The number of entities in the worst `share` of all, at least one, and their share of all frauds."""
    frauds = payments.groupby(entity)["fraud"].sum().sort_values(ascending=False)
    count = max(1, round(share * len(frauds)))
    return count, float(frauds.head(count).sum() / frauds.sum())


def known_after(payments: Frame, days: int = 14) -> Frame:
    """The share of frauds known n days after they occurred, for n from 0 to `days`; index `days`."""
    import pandas as pd

    delay = (payments["known"] - payments["occurred"])[payments["fraud"]].to_numpy() / DAY
    lags = np.arange(days + 1)
    return pd.DataFrame({"share": [(delay <= lag).mean() for lag in lags]}, index=pd.Index(lags, name="days"))


def known_on(payments: Frame, moment: int, days: int = LOOK_BACK_DAYS) -> Frame:
    """For each of the `days` days before second `moment`: the frauds known at that moment and those known only later.

    Columns: known, unknown.
    """
    frauds = payments[payments["fraud"] & (payments["occurred"] < moment)]
    frauds = frauds[frauds["occurred"] >= moment - days * DAY]
    table = frauds.assign(then=frauds["known"] <= moment).groupby(dates(frauds))["then"].agg(["sum", "size"])
    return table.assign(known=table["sum"], unknown=table["size"] - table["sum"])[["known", "unknown"]]


def single_auc(sample: Frame, frauds: Frame) -> Frame:
    """The AUC ROC of each single feature for `frauds` (a mask) against drawn genuine payments, weakest first.

    Above 0.5, frauds have larger values; below 0.5, smaller ones.
    """
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    rows = sample[frauds | (sample["drawn"] & sample["settled"] & ~sample["fraud"])]
    labels = frauds[rows.index]
    found = {name: roc_auc_score(labels, rows[name]) for name in FEATURES}
    return pd.Series(found).sort_values(key=lambda auc: (auc - 0.5).abs())

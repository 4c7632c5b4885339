"""Drift of the features from week to week, by the two-sample Kolmogorov-Smirnov statistic: data in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.features import FEATURES, TERMINAL_HORIZON_DAYS
from contracts.labels import DAY
from modeling.notebooks.payments import SEED, WEEK, Frame
from modeling.notebooks.statistics import weeks


@dataclass(frozen=True)
class Drift:
    """The drift of the features: `distance`, features by weeks, is the Kolmogorov-Smirnov statistic to one week."""

    distance: Frame
    reference: Any
    """The first day of the reference week."""
    noise: float
    """The largest statistic expected by chance between two weeks of the reference's size."""

    @property
    def before(self) -> Frame:
        """The weeks before the reference."""
        return self.distance[[week for week in self.distance if week < self.reference]]

    @property
    def after(self) -> Frame:
        """The weeks after the reference."""
        return self.distance[[week for week in self.distance if week > self.reference]]


def feature_drift(sample: Frame, first_second: int) -> Drift | None:
    """The drift of the features by complete weeks; None with fewer than two weeks.

    The reference is the first week whose features have their full history, if another week follows it, otherwise the
    first week.
    """
    drawn = sample[sample["drawn"]]
    starts = weeks(drawn, first_second)
    end = (drawn["occurred"].max() // DAY + 1) * DAY
    whole = [week for week in sorted(starts.unique()) if week.timestamp() + WEEK <= end]
    if len(whole) < 2:
        return None
    warm = [week for week in whole if week.timestamp() >= first_second + TERMINAL_HORIZON_DAYS * DAY]
    reference = warm[0] if len(warm) > 1 else whole[0]
    by_week = {week: drawn.loc[starts == week, list(FEATURES)] for week in whole}
    others = [week for week in whole if week != reference]
    return Drift(
        distance=_distances(by_week[reference], {week: by_week[week] for week in others}),
        reference=reference,
        noise=_noise(by_week[reference]),
    )


def _distances(reference: Frame, others: dict[object, Frame]) -> Frame:
    import pandas as pd
    from scipy.stats import ks_2samp

    found = {
        week: [ks_2samp(reference[name], rows[name], method="asymp").statistic for name in FEATURES]
        for week, rows in others.items()
    }
    return pd.DataFrame(found, index=list(FEATURES))


def _noise(week: Frame) -> float:
    shuffled = week.sample(frac=1, random_state=SEED)
    half = len(week) // 2
    # The statistic decreases with the square root of the size, and whole weeks are twice as large as halves.
    return float(_distances(shuffled[:half], {"other": shuffled[half:]}).max().max() / np.sqrt(2))

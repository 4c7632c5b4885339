"""Windows of payments in memory, without a lake."""

from __future__ import annotations

import numpy as np

from contracts.days import DayRange
from contracts.features import FEATURES
from modeling.data.dataset import Dataset
from tests.modeling.lakes import DAYS


def window(days: DayRange = DAYS, payments: int = 2_000, cards: int = 100, seed: int = 0) -> Dataset:
    """Payments with frauds of all patterns and some of unknown pattern; half of the frauds are large."""
    rng = np.random.default_rng(seed)
    patterns = rng.choice([0, 1, 2, 3], payments, p=[0.92, 0.02, 0.03, 0.03])
    unknown = (patterns == 0) & (rng.random(payments) < 0.02)
    amounts = np.round(rng.gamma(2.0, 40.0, payments) * np.where(patterns == 1, 8, 1), 2)
    features = rng.integers(1, 5, (payments, len(FEATURES))).astype(np.float64)
    features[:, FEATURES.index("amount")] = amounts
    return Dataset(
        features=features,
        frauds=(patterns > 0) | unknown,
        amounts=amounts,
        transaction_id=np.arange(payments),
        customer_id=rng.integers(0, cards, payments),
        occurred=np.sort(rng.integers(days.start_second, days.end_second, payments)),
        patterns=patterns,
    )


def scores_of(data: Dataset, seed: int = 0, decimals: int = 2) -> np.ndarray:
    """Scores with some skill, many of them equal."""
    noise = np.random.default_rng(seed).normal(size=len(data.frauds))
    return np.round(1 / (1 + np.exp(3 - 2.5 * data.frauds - noise)), decimals)

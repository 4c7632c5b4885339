"""How a model does on parts of a window: by fraud pattern, by amount, by customers known and new."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts.features import FEATURES
from contracts.transaction import FRAUD_PATTERNS
from modeling.data.dataset import Dataset
from modeling.evaluation.costs import Bools
from modeling.evaluation.window_intervals import Scored

AMOUNT_QUANTILES: Final = (0.25, 0.5, 0.75, 0.95)
HISTORY: Final = "customer_tx_count_30d"
"""1 where a payment is its customer's only one of the last 30 days: the customer is new to the model."""


@dataclass(frozen=True)
class Group:
    """Some payments of a window: how many, how many frauds, how well they are told apart, what was caught.

    Caught is a fraud that is reviewed or declined; amounts are in the currency of the payments. Average precision is
    None without both kinds.
    """

    name: str
    payments: int
    frauds: int
    average_precision: float | None
    caught: int
    fraud_amount: float
    caught_amount: float


def by_pattern(data: Dataset, one: Scored) -> list[Group]:
    """The frauds of each pattern, and of none known, each among all genuine payments."""
    known = {name: data.patterns == number for number, name in FRAUD_PATTERNS.items()}
    unknown = ~np.isin(data.patterns, list(FRAUD_PATTERNS))
    return [
        group(name, ~data.frauds | (data.frauds & chosen), data, one)
        for name, chosen in {**known, "unknown": unknown}.items()
    ]


def by_amount(data: Dataset, one: Scored) -> list[Group]:
    """Bands of the amount between its `AMOUNT_QUANTILES` in these payments, each rounded to a whole number."""
    edges = np.unique(np.round(np.quantile(data.amounts, AMOUNT_QUANTILES)))
    band = np.searchsorted(edges, data.amounts, side="right")
    names = [f"below {edges[0]:,.0f}"]
    names += [f"{low:,.0f} to below {high:,.0f}" for low, high in itertools.pairwise(edges)]
    names += [f"{edges[-1]:,.0f} and more"]
    return [group(name, band == number, data, one) for number, name in enumerate(names)]


def by_customer(data: Dataset, one: Scored) -> list[Group]:
    """Payments of customers with and without another payment in the 30 days before."""
    new = data.features[:, FEATURES.index(HISTORY)] == 1
    return [group("known", ~new, data, one), group("new", new, data, one)]


def group(name: str, chosen: Bools, data: Dataset, one: Scored) -> Group:
    """The payments that are `chosen`, shape (n,)."""
    frauds, amounts, scores = data.frauds[chosen], data.amounts[chosen], one.scores[chosen]
    caught = frauds & (scores >= one.thresholds.review)
    return Group(
        name=name,
        payments=len(frauds),
        frauds=int(frauds.sum()),
        average_precision=_average_precision(frauds, scores),
        caught=int(caught.sum()),
        fraud_amount=float(amounts[frauds].sum()),
        caught_amount=float(amounts[caught].sum()),
    )


def _average_precision(frauds: Bools, scores: np.ndarray) -> float | None:
    from sklearn.metrics import average_precision_score

    if frauds.all() or not frauds.any():
        return None
    return float(average_precision_score(frauds, scores))

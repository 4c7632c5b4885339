"""Metrics on slices of a window: by fraud pattern, by amount, by known and new customers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts.features import FEATURES
from contracts.transaction import FRAUD_PATTERNS
from modeling.data.dataset import Dataset
from modeling.evaluation.costs import Bools
from modeling.evaluation.metric_intervals import Scored

AMOUNT_QUANTILES: Final = (0.25, 0.5, 0.75, 0.95)
HISTORY: Final = "customer_tx_count_30d"
"""A value of 1 means that the payment is its customer's only one in 30 days: the customer is new to the model."""


@dataclass(frozen=True)
class Slice:
    """The metrics of some payments of a window.

    A fraud is caught if it is reviewed or declined; amounts are in the currency of the payments. Average precision is
    None without frauds or without genuine payments.
    """

    name: str
    payments: int
    frauds: int
    average_precision: float | None
    caught: int
    fraud_amount: float
    caught_amount: float


def by_pattern(data: Dataset, one: Scored) -> list[Slice]:
    """A slice for each fraud pattern and for unknown patterns: its frauds and all genuine payments."""
    known = {name: data.patterns == number for number, name in FRAUD_PATTERNS.items()}
    unknown = ~np.isin(data.patterns, list(FRAUD_PATTERNS))
    return [
        slice_of(name, ~data.frauds | (data.frauds & chosen), data, one)
        for name, chosen in {**known, "unknown": unknown}.items()
    ]


def by_amount(data: Dataset, one: Scored) -> list[Slice]:
    """A slice for each band of amounts between the `AMOUNT_QUANTILES` of these payments, rounded to integers."""
    edges = np.unique(np.round(np.quantile(data.amounts, AMOUNT_QUANTILES)))
    band = np.searchsorted(edges, data.amounts, side="right")
    names = [f"below {edges[0]:,.0f}"]
    names += [f"{low:,.0f} to below {high:,.0f}" for low, high in itertools.pairwise(edges)]
    names += [f"{edges[-1]:,.0f} and more"]
    return [slice_of(name, band == number, data, one) for number, name in enumerate(names)]


def by_customer(data: Dataset, one: Scored) -> list[Slice]:
    """Two slices: payments of customers with and without another payment in the 30 days before."""
    new = data.features[:, FEATURES.index(HISTORY)] == 1
    return [slice_of("known", ~new, data, one), slice_of("new", new, data, one)]


def slice_of(name: str, chosen: Bools, data: Dataset, one: Scored) -> Slice:
    """The metrics of the payments selected by the mask `chosen`, shape (n,)."""
    frauds, amounts, scores = data.frauds[chosen], data.amounts[chosen], one.scores[chosen]
    caught = frauds & (scores >= one.thresholds.review)
    return Slice(
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

"""How good scores are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from contracts.labels import DAY
from modeling.costs import Costs, cost_of_approving_all, total_cost
from modeling.dataset import Dataset

TOP_CARDS: Final = 100


def measure(scores: NDArray[np.float64], data: Dataset, thresholds: Thresholds, costs: Costs) -> dict[str, float]:
    """Average precision, AUC ROC, card precision, Brier score, and the cost of 1,000 payments decided and approved."""
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    thousand = 1_000 / len(scores)
    return {
        "average_precision": float(average_precision_score(data.frauds, scores)),
        "roc_auc": float(roc_auc_score(data.frauds, scores)),
        f"card_precision_{TOP_CARDS}": card_precision(scores, data, TOP_CARDS),
        "brier": float(brier_score_loss(data.frauds, scores)),
        "cost_per_1000": thousand * total_cost(scores, data.frauds, data.amounts, thresholds, costs),
        "cost_per_1000_approving_all": thousand * cost_of_approving_all(data.frauds, data.amounts),
    }


def card_precision(scores: NDArray[np.float64], data: Dataset, top: int) -> float:
    """The frauds' share of the `top` cards with the highest score of a day, mean over the days.

    A card found to have had a fraud is not looked at on later days. As the Fraud Detection Handbook defines it in its
    chapter on metrics: the divisor is `top` even where fewer cards are left.
    """
    found = np.empty(0, dtype=np.int64)
    shares = []
    days = data.occurred // DAY
    for day in np.unique(days):
        on = np.flatnonzero((days == day) & ~np.isin(data.customer_id, found))
        hits = _cards_found(data.customer_id[on], scores[on], data.frauds[on], top)
        found = np.concatenate((found, hits))
        shares.append(len(hits) / top)
    return float(np.mean(shares))


def _cards_found(
    cards: NDArray[np.int64], scores: NDArray[np.float64], frauds: NDArray[np.bool_], top: int
) -> NDArray[np.int64]:
    """The cards with a fraud among the `top` of one day."""
    each, card_of = np.unique(cards, return_inverse=True)
    highest, fraud = np.full(len(each), -np.inf), np.zeros(len(each), dtype=bool)
    np.maximum.at(highest, card_of, scores)
    np.logical_or.at(fraud, card_of, frauds)
    first = np.argsort(-highest, kind="stable")[:top]
    return each[first[fraud[first]]]

"""How good scores are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from contracts.bundle import Thresholds
from contracts.labels import DAY
from modeling.costs import Costs, total_cost
from modeling.dataset import Dataset

TOP_CARDS: Final = 100


def measure(scores: NDArray[np.float64], data: Dataset, thresholds: Thresholds, costs: Costs) -> dict[str, float]:
    """Average precision, AUC ROC, card precision, Brier score, and the cost of 1,000 payments decided and approved."""
    everything = Thresholds(review=1.0, decline=1.0)
    thousand = 1_000 / len(scores)
    nothing_flagged = np.zeros(len(scores))
    return {
        "average_precision": float(average_precision_score(data.frauds, scores)),
        "roc_auc": float(roc_auc_score(data.frauds, scores)),
        "card_precision_100": card_precision(scores, data, TOP_CARDS),
        "brier": float(brier_score_loss(data.frauds, np.clip(scores, 0, 1))),
        "cost_per_1000": thousand * total_cost(scores, data.frauds, data.amounts, thresholds, costs),
        "cost_per_1000_approving_all": thousand
        * total_cost(nothing_flagged, data.frauds, data.amounts, everything, costs),
    }


def card_precision(scores: NDArray[np.float64], data: Dataset, top: int) -> float:
    """Of the `top` cards with the highest score of a day, the share that had a fraud that day; mean over the days.

    A card found on one day is not looked at again, as in the Fraud Detection Handbook's chapter on metrics.
    """
    found: set[int] = set()
    shares = []
    days = data.occurred // DAY
    for day in np.unique(days):
        on = np.flatnonzero(days == day)
        cards, card_of = np.unique(data.customer_id[on], return_inverse=True)
        highest, fraud = np.full(len(cards), -np.inf), np.zeros(len(cards), dtype=bool)
        np.maximum.at(highest, card_of, scores[on])
        np.logical_or.at(fraud, card_of, data.frauds[on])
        open_cards = ~np.isin(cards, list(found))
        first = np.flatnonzero(open_cards)[np.argsort(-highest[open_cards], kind="stable")[:top]]
        hits = cards[first[fraud[first]]]
        found.update(hits.tolist())
        shares.append(len(hits) / top)
    return float(np.mean(shares))

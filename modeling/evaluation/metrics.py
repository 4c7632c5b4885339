"""Metrics of scores and of the decisions made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from contracts.labels import DAY
from modeling.data.dataset import Dataset
from modeling.evaluation.costs import Costs, cost_of_approving_all, total_cost

TOP_CARDS: Final = 100


def measure(scores: NDArray[np.float64], data: Dataset, thresholds: Thresholds, costs: Costs) -> dict[str, float]:
    """Average precision, AUC ROC, card precision, Brier score, and the metrics of `measure_decisions`.

    `scores` has shape (n,).
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    return {
        "average_precision": float(average_precision_score(data.frauds, scores)),
        "roc_auc": float(roc_auc_score(data.frauds, scores)),
        f"card_precision_{TOP_CARDS}": card_precision(scores, data, TOP_CARDS),
        "brier": float(brier_score_loss(data.frauds, scores)),
    } | measure_decisions(scores, data, thresholds, costs)


def measure_decisions(
    scores: NDArray[np.float64], data: Dataset, thresholds: Thresholds, costs: Costs
) -> dict[str, float]:
    """Costs, savings over approving all, shares, reviews a day and amounts of the decisions by these thresholds.

    Amounts and costs are in the currency of the payments. `savings_share` is left out if there is no fraud to save.
    """
    thousand = 1_000 / len(scores)
    cost = thousand * total_cost(scores, data.frauds, data.amounts, thresholds, costs)
    approving_all = thousand * cost_of_approving_all(data.frauds, data.amounts)
    flagged, declined = scores >= thresholds.review, scores >= thresholds.decline
    reviewed = flagged & ~declined
    a_day = np.bincount(np.unique(data.occurred // DAY, return_inverse=True)[1], weights=reviewed)
    found = {
        "cost_per_1000": cost,
        "cost_per_1000_approving_all": approving_all,
        "savings_per_1000": approving_all - cost,
        "share_reviewed": float(reviewed.mean()),
        "share_declined": float(declined.mean()),
        "reviews_per_day_mean": float(a_day.mean()),
        "reviews_per_day_max": float(a_day.max()),
        "fraud_amount": float(data.amounts[data.frauds].sum()),
        "fraud_amount_caught": float(data.amounts[data.frauds & flagged].sum()),
    }
    return found | ({"savings_share": 1 - cost / approving_all} if approving_all > 0 else {})


def card_precision(scores: NDArray[np.float64], data: Dataset, top: int) -> float:
    """Card precision: the share of frauds among a day's `top` cards by highest score, averaged over the days.

    A card with a detected fraud is skipped on later days. As in the Fraud Detection Handbook's chapter on metrics, the
    divisor is `top` even if fewer cards are left.
    """
    return CardDays.of(scores, data).precision(top)


@dataclass(frozen=True)
class CardDays:
    """Each card's highest score (-inf without a payment) and whether it had a fraud, by day.

    Both arrays have shape (cards, days); cards are in the order of their numbers.
    """

    highest: NDArray[np.float64]
    frauds: NDArray[np.bool_]

    @classmethod
    def of(cls, scores: NDArray[np.float64], data: Dataset) -> CardDays:
        """The card days of some payments; `scores` has shape (n,)."""
        cards, card_of = np.unique(data.customer_id, return_inverse=True)
        days, day_of = np.unique(data.occurred // DAY, return_inverse=True)
        shape = (len(cards), len(days))
        highest, frauds = np.full(shape, -np.inf), np.zeros(shape, dtype=bool)
        np.maximum.at(highest, (card_of, day_of), scores)
        frauds[card_of[data.frauds], day_of[data.frauds]] = True
        return cls(highest, frauds)

    def take(self, cards: NDArray[np.int64]) -> CardDays:
        """The cards at these indices, repeated as given."""
        return CardDays(self.highest[cards], self.frauds[cards])

    def precision(self, top: int) -> float:
        """The card precision, as `card_precision` defines it."""
        found = np.zeros(len(self.highest), dtype=bool)
        shares = []
        for highest, frauds in zip(self.highest.T, self.frauds.T, strict=True):
            first = np.argsort(np.where(found, np.inf, -highest), kind="stable")[:top]
            hits = first[frauds[first] & ~found[first]]
            found[hits] = True
            shares.append(len(hits) / top)
        return float(np.mean(shares))

"""Two metrics for rare frauds: average precision, and the share of frauds among the cards that people can inspect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def measure(scores: Floats, frauds: Bools, cards: Ints, days: Ints, top: int) -> dict[str, float]:
    """Average precision over all payments, and card precision at `top` cards a day, both from 0 to 1.

    All arrays have shape (n,): each payment's score (higher is more suspicious), whether it is a fraud, its card's
    number and the day it occurred on, in any order. There is at least one fraud. The keys of the result are
    `average_precision` and `card_precision`.
    """
    # --- your work: begin
    order = np.argsort(-scores)
    caught, flagged = np.cumsum(frauds[order]), np.arange(1, len(scores) + 1)
    # Equal scores are flagged together: evaluate only at the last payment of each score.
    stops = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    gained = np.diff(caught[stops], prepend=0)
    average_precision = (gained * caught[stops] / flagged[stops]).sum() / frauds.sum()

    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        today = days == day
        stolen = set(cards[today & frauds].tolist())
        highest = {card: scores[today & (cards == card)].max() for card in set(cards[today].tolist()) - found}
        inspected = sorted(highest, key=lambda card: (-highest[card], card))[:top]
        hits = stolen.intersection(inspected)
        found |= hits
        shares.append(len(hits) / top)
    return {"average_precision": float(average_precision), "card_precision": float(np.mean(shares))}
    # --- your work: end

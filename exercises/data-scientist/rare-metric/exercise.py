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
    raise NotImplementedError("your work goes here")
    # --- your work: end

"""Split payments in time, with the label delay between training and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.labels import DAY, LABEL_DELAY, known_at

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class HonestSplit:
    """Positions of the payments to train on, shape (k,), and to test on, shape (m,), each with its labels."""

    training: Ints
    training_frauds: Bools
    test: Ints
    test_frauds: Bools


def honest_split(occurred: Ints, reported: Ints, trained_at: int, test_days: int = 7) -> HonestSplit:
    """The payments that a model trained at second `trained_at` can learn from, and the following days, to test it on.

    `occurred` and `reported` have shape (n,), in seconds since 1970, in any order; `reported` is `NEVER` (huge)
    where no fraud was reported. Windows include their start and exclude their end. Training is every payment
    before `trained_at - LABEL_DELAY`, with the labels known at `trained_at`. The test is the `test_days` days from
    `trained_at` on, with the labels known one label delay after its end.
    """
    # --- your work: begin
    raise NotImplementedError("your work goes here")
    # --- your work: end

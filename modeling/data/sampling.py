"""Undersample the genuine payments for training: only one payment in a hundred is a fraud.

On the published data a quarter of the genuine payments of 90 days is enough (docs/decisions/0017-bins.md). All frauds
are kept and none are synthesised.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_ROWS: Final = 200_000
"""Above this number, scikit-learn's boosted trees would find their bins on a random sample of as many rows."""
SEED: Final = 0


def sample_genuine(frauds: NDArray[np.bool_], at_most: int = MAX_ROWS) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The sorted positions of all frauds and of randomly drawn genuine payments, `at_most` in all, and their weights.

    `frauds` has shape (n,), both results (m,). Genuine payments are weighted so that together they count as much as all
    of them, which keeps predicted probabilities unchanged. At least as many genuine payments as frauds are drawn, if
    there are that many.
    """
    genuine = np.flatnonzero(~frauds)
    fraud_count = len(frauds) - len(genuine)
    room = min(max(at_most - fraud_count, fraud_count), len(genuine))
    kept = np.random.default_rng(SEED).choice(genuine, room, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(frauds), kept]))
    return rows, np.where(frauds[rows], 1.0, len(genuine) / max(room, 1))

"""The label delay: when a fraud is known.

A fraud is known at t if `occurred_at + LABEL_DELAY <= t` and `reported_at <= t`. Features, evaluation, monitoring and
retraining all use this module. All instants are whole seconds since 1970 (int64).

A payment without a report counts as genuine, unless the bank says that its label is unknown (`bank.unknown_labels`):
then it is neither. Training, thresholds, evaluation, the gate and the exploration leave it out, even if it is reported
later: of unknown labels only frauds become known, so counting these alone would overstate their share. In features it
counts as a payment, and as a fraud only once it is reported, like any other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

DAY: Final = 86_400
LABEL_DELAY_DAYS: Final = 7
LABEL_DELAY: Final = LABEL_DELAY_DAYS * DAY
NEVER: Final = 2**63 - 1
"""The `reported_at` of a payment without a fraud report."""


def known_from(occurred: NDArray[np.int64], reported: NDArray[np.int64]) -> NDArray[np.int64]:
    """The second from which each payment is known to be a fraud, `NEVER` without a report; shape (n,)."""
    return np.maximum(occurred + LABEL_DELAY, reported)


def known_at(occurred: NDArray[np.int64], reported: NDArray[np.int64], now: int) -> NDArray[np.bool_]:
    """Whether each payment is known to be a fraud at second `now`; shape (n,)."""
    return known_from(occurred, reported) <= now

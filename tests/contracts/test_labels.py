"""When a fraud is known."""

from __future__ import annotations

import numpy as np

from contracts.labels import LABEL_DELAY, NEVER, known_at, known_from


def test_known_after_the_delay_and_the_report() -> None:
    occurred = np.array([0, 0, 0])
    reported = np.array([5, LABEL_DELAY + 5, NEVER])
    assert known_from(occurred, reported).tolist() == [LABEL_DELAY, LABEL_DELAY + 5, NEVER]
    assert known_at(occurred, reported, LABEL_DELAY - 1).tolist() == [False, False, False]
    assert known_at(occurred, reported, LABEL_DELAY).tolist() == [True, False, False]
    assert known_at(occurred, reported, LABEL_DELAY + 5).tolist() == [True, True, False]

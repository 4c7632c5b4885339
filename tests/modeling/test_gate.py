"""Who becomes champion."""

from __future__ import annotations

import pytest

from modeling.gate import AVERAGE_PRECISION_TOLERANCE, Standing, first_champion, judge

CHAMPION = Standing(average_precision=0.70, cost_per_1000=100.0)


@pytest.mark.parametrize(
    ("precision", "cost", "promoted"),
    [
        (0.75, 90.0, True),
        (0.75, 110.0, True),
        (0.70, 100.0, True),
        (0.70, 100.1, False),
        (0.70 - AVERAGE_PRECISION_TOLERANCE / 2, 99.0, True),
        (0.70 - AVERAGE_PRECISION_TOLERANCE / 2, 101.0, False),
        (0.70 - AVERAGE_PRECISION_TOLERANCE * 1.1, 50.0, False),
    ],
)
def test_the_gate_against_a_champion(precision: float, cost: float, promoted: bool) -> None:
    verdict = judge(Standing(precision, cost), CHAMPION)
    assert verdict.promoted is promoted
    assert f"{precision:.3f} against 0.700" in verdict.reason


def test_the_first_needs_only_to_be_cheaper_than_approving_all() -> None:
    assert first_champion(Standing(0.5, 90.0, approving_all=100.0)).promoted
    refused = first_champion(Standing(0.5, 110.0, approving_all=100.0))
    assert not refused.promoted
    assert "approving all" in refused.reason

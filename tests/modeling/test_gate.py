"""The gate: which challengers are promoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.evaluation.gate import COST_TOLERANCE, PRECISION_TOLERANCE, GateMetrics, compare, first_champion

CHAMPION = GateMetrics(average_precision=0.70, cost_per_1000=100.0, approving_all=500.0)
LITTLE_WORSE, MUCH_WORSE = 0.70 - PRECISION_TOLERANCE / 2, 0.70 - PRECISION_TOLERANCE * 1.1
LITTLE_DEARER, MUCH_DEARER = 100 * (1 + COST_TOLERANCE / 2), 100 * (1 + COST_TOLERANCE * 1.1)


@pytest.mark.parametrize(
    ("precision", "cost", "promoted", "why"),
    [
        (0.75, 90.0, True, "at least as good"),
        (0.70, 100.0, True, "at least as good"),
        (0.75, LITTLE_DEARER, True, "at least as good"),
        (LITTLE_WORSE, 99.0, True, "at least as good"),
        (LITTLE_WORSE, 100.0, True, "at least as good"),
        (0.95, MUCH_DEARER, False, "cost is higher"),
        (LITTLE_WORSE, LITTLE_DEARER, False, "slightly worse on both metrics"),
        (MUCH_WORSE, 10.0, False, "average precision is worse"),
    ],
)
def test_the_gate_against_a_champion(precision: float, cost: float, promoted: bool, why: str) -> None:
    decision = compare(GateMetrics(precision, cost, 500.0), CHAMPION)
    assert decision.promoted is promoted
    assert decision.reason.startswith(why)
    assert f"{precision:.3f} against 0.700" in decision.reason


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 400.0)), max_size=30))
def test_successive_champions_never_get_worse_in_both_figures(figures: list[tuple[float, float]]) -> None:
    champion = CHAMPION
    for precision, cost in figures:
        challenger = GateMetrics(precision, cost, 500.0)
        if compare(challenger, champion).promoted:
            assert precision >= champion.average_precision or cost <= champion.cost_per_1000
            champion = challenger


def test_the_first_version_is_promoted_with_a_warning_if_it_is_poor() -> None:
    good, poor = (first_champion(GateMetrics(0.5, cost, approving_all=100.0)) for cost in (90.0, 100.0))
    assert good.promoted
    assert "poor" not in good.reason
    assert poor.promoted
    assert "poor" in poor.reason

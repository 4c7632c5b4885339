"""The gate: promote only challengers that are at least as good as the champion. Pure functions of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PRECISION_TOLERANCE: Final = 0.01
"""The largest decrease of average precision that passes."""
COST_TOLERANCE: Final = 0.05
"""The largest relative increase of cost that passes. Both tolerances are one standard error of the difference between
two models, by bootstrap, on the same week of 67,000 payments with 600 frauds."""


@dataclass(frozen=True)
class GateMetrics:
    """A model's metrics on the challenger's test window; costs are per 1,000 payments."""

    average_precision: float
    cost_per_1000: float
    approving_all: float
    """The cost of approving all of these payments."""


@dataclass(frozen=True)
class GateDecision:
    """Whether the challenger is promoted, and the reason as text."""

    promoted: bool
    reason: str


def first_champion(challenger: GateMetrics) -> GateDecision:
    """The decision without a champion: always promote, because without a champion no payment can be scored.

    The reason includes a warning if the model's decisions cost at least as much as approving everything.
    """
    costs = f"cost of 1,000 payments {challenger.cost_per_1000:.2f}, approving all {challenger.approving_all:.2f}"
    warning = (
        ""
        if challenger.cost_per_1000 < challenger.approving_all
        else "; this is a poor model: train on more days or more customers"
    )
    return GateDecision(
        True, f"there was no champion; average precision {challenger.average_precision:.3f}, {costs}{warning}"
    )


def compare(challenger: GateMetrics, champion: GateMetrics) -> GateDecision:
    """The decision against the current champion, both measured on the same payments.

    The challenger passes if neither average precision nor cost is worse by more than its tolerance and at least one of
    them is not worse at all. A model on newer data of equal quality passes; a slow decline does not.
    """
    precision_loss = champion.average_precision - challenger.average_precision
    cost_increase = challenger.cost_per_1000 - champion.cost_per_1000
    figures = _figures(challenger, champion)
    if precision_loss > PRECISION_TOLERANCE:
        return GateDecision(False, f"average precision is worse: {figures}")
    if cost_increase > COST_TOLERANCE * champion.cost_per_1000:
        return GateDecision(False, f"cost is higher: {figures}")
    if precision_loss > 0 and cost_increase > 0:
        return GateDecision(False, f"slightly worse on both metrics: {figures}")
    return GateDecision(True, f"at least as good: {figures}")


def _figures(challenger: GateMetrics, champion: GateMetrics) -> str:
    return (
        f"average precision {challenger.average_precision:.3f} against {champion.average_precision:.3f}, "
        f"cost of 1,000 payments {challenger.cost_per_1000:.2f} against {champion.cost_per_1000:.2f}"
    )

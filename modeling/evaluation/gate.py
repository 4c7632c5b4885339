"""The gate through which a challenger becomes champion. Pure: it sees figures, not models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PRECISION_TOLERANCE: Final = 0.01
"""How much worse a challenger's average precision may be."""
COST_TOLERANCE: Final = 0.05
"""By what share a challenger's cost may be above the champion's. Both are one standard error of the difference, by
bootstrap, between two models on the same week of 67,000 payments with 600 frauds."""


@dataclass(frozen=True)
class Standing:
    """How a model does on the challenger's test window; costs are those of 1,000 payments."""

    average_precision: float
    cost_per_1000: float
    approving_all: float
    """What approving everything costs on the same payments."""


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger becomes champion, and why, in words."""

    promoted: bool
    reason: str


def first_champion(challenger: Standing) -> Verdict:
    """The gate where there is nobody to beat: it is open, for without a champion nothing is scored at all.

    The reason says plainly where deciding by the model cost no less than approving everything.
    """
    said = f"cost of 1,000 payments {challenger.cost_per_1000:.2f}, approving all {challenger.approving_all:.2f}"
    poor = (
        "" if challenger.cost_per_1000 < challenger.approving_all else "; it is poor, and wants more days or customers"
    )
    return Verdict(True, f"there was no champion; average precision {challenger.average_precision:.3f}, {said}{poor}")


def judge(challenger: Standing, champion: Standing) -> Verdict:
    """The gate against the present champion, both on the same payments.

    The challenger passes if neither its average precision nor its cost is worse by more than the tolerance, and at
    least one of the two is not worse at all: newer data at equal quality gets in, and a slow slide downhill does not.
    """
    lost = champion.average_precision - challenger.average_precision
    dearer = challenger.cost_per_1000 - champion.cost_per_1000
    said = _said(challenger, champion)
    if lost > PRECISION_TOLERANCE:
        return Verdict(False, f"worse at telling frauds apart: {said}")
    if dearer > COST_TOLERANCE * champion.cost_per_1000:
        return Verdict(False, f"dearer: {said}")
    if lost > 0 and dearer > 0:
        return Verdict(False, f"a little worse in both: {said}")
    return Verdict(True, f"at least as good: {said}")


def _said(challenger: Standing, champion: Standing) -> str:
    return (
        f"average precision {challenger.average_precision:.3f} against {champion.average_precision:.3f}, "
        f"cost of 1,000 payments {challenger.cost_per_1000:.2f} against {champion.cost_per_1000:.2f}"
    )

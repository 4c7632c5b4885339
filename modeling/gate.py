"""The gate through which a challenger becomes champion. Pure: it sees figures, not models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

AVERAGE_PRECISION_TOLERANCE: Final = 0.01
"""A challenger may be this much worse by chance: about one standard error on a week of a few hundred frauds."""


@dataclass(frozen=True)
class Standing:
    """How a model does on the challenger's test window; cost of 1,000 payments."""

    average_precision: float
    cost_per_1000: float
    approving_all: float = float("inf")
    """What approving everything would cost on the same payments."""


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger becomes champion, and why, in words."""

    promoted: bool
    reason: str


def first_champion(challenger: Standing) -> Verdict:
    """The gate where there is nobody to beat: deciding by the model must cost less than approving all."""
    said = f"cost of 1,000 payments {challenger.cost_per_1000:.2f}, approving all {challenger.approving_all:.2f}"
    if challenger.cost_per_1000 >= challenger.approving_all:
        return Verdict(False, f"there is no champion, and deciding costs no less than approving all: {said}")
    return Verdict(True, f"there was no champion; average precision {challenger.average_precision:.3f}, {said}")


def judge(challenger: Standing, champion: Standing) -> Verdict:
    """The gate against the present champion, both on the same payments.

    The challenger passes if its average precision is not worse by more than the tolerance, and either it is better or
    it costs no more: newer data at equal quality is worth having.
    """
    gained = challenger.average_precision - champion.average_precision
    dearer = challenger.cost_per_1000 - champion.cost_per_1000
    said = (
        f"average precision {challenger.average_precision:.3f} against {champion.average_precision:.3f}, "
        f"cost of 1,000 payments {challenger.cost_per_1000:.2f} against {champion.cost_per_1000:.2f}"
    )
    if gained < -AVERAGE_PRECISION_TOLERANCE:
        return Verdict(False, f"worse: {said}")
    if gained <= 0 and dearer > 0:
        return Verdict(False, f"no better, and dearer: {said}")
    return Verdict(True, f"at least as good: {said}")

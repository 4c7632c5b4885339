"""Reasons of a score: each feature's contribution to its log-odds, measured against a typical genuine payment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.bundle import Decision
from contracts.features import FEATURES
from contracts.histories import Floats
from serving.explain.feature_descriptions import Text, Values, texts_in
from serving.model.champion import Champion

MAX_REASONS: Final = 5


@dataclass(frozen=True)
class Reason:
    """One feature's part in a score; `contribution` in log-odds, more than 0 where it raises the score."""

    feature: str
    value: float
    contribution: float
    text: str

    def as_dict(self) -> dict[str, str | float]:
        """The reason as JSON."""
        return dict(vars(self))


def reasons(
    champion: Champion, matrix: Floats, decisions: list[Decision], limit: int | None = MAX_REASONS
) -> list[list[Reason]]:
    """The reasons for each payment: those for the decision before those against it, the strongest first.

    At most `limit`, without features that contribute nothing; all features if it is None, so that they add up.
    """
    bundle = champion.bundle
    texts = texts_in(bundle.bank_zone.id.name)
    return [
        _strongest(dict(zip(FEATURES, values, strict=True)), parts, bundle.reference, texts, decision, limit)
        for values, parts, decision in zip(
            matrix.tolist(), champion.contributions(matrix).tolist(), decisions, strict=True
        )
    ]


def _strongest(
    values: Values,
    parts: list[float],
    reference: Values,
    texts: Mapping[str, Text],
    decision: Decision,
    limit: int | None,
) -> list[Reason]:
    sign = -1 if decision == "approve" else 1
    named = [(name, part) for name, part in zip(FEATURES, parts, strict=True) if part != 0 or limit is None]
    named.sort(key=lambda one: (one[1] == 0, one[1] * sign < 0, -abs(one[1])))
    return [Reason(name, values[name], part, texts[name](values, reference)) for name, part in named[:limit]]

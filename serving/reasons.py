"""Why a score is what it is: what each feature adds to its log-odds, from a typical genuine payment's on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from contracts.bundle import Decision
from contracts.features import FEATURES, LAST_NIGHT_HOUR, WINDOW_DAYS, Floats
from contracts.labels import LABEL_DELAY_DAYS
from serving.model import Champion

MOST: Final = 5
Values = Mapping[str, float]


@dataclass(frozen=True)
class Reason:
    """One feature's part in a score; `contribution` in log-odds, more than 0 where it raises the score."""

    feature: str
    value: float
    contribution: float
    text: str

    def as_dict(self) -> dict[str, str | float]:
        """The reason as JSON has it."""
        return asdict(self)


def reasons(
    champion: Champion, matrix: Floats, decisions: list[Decision], most: int | None = MOST
) -> list[list[Reason]]:
    """The reasons for each payment, the strongest first; what speaks for the decision before what does not.

    At most `most`, and only features that did something; all features where it is None, so that they add up.
    """
    return [
        _strongest(dict(zip(FEATURES, values, strict=True)), parts, champion.bundle.reference, decision, most)
        for values, parts, decision in zip(
            matrix.tolist(), champion.contributions(matrix).tolist(), decisions, strict=True
        )
    ]


def _strongest(
    values: Values, parts: list[float], reference: Values, decision: Decision, most: int | None
) -> list[Reason]:
    sign = -1 if decision == "approve" else 1
    named = [(name, part) for name, part in zip(FEATURES, parts, strict=True) if part != 0 or most is None]
    named.sort(key=lambda one: (one[1] == 0, one[1] * sign < 0, -abs(one[1])))
    return [Reason(name, values[name], part, TEXTS[name](values, reference)) for name, part in named[:most]]


def _money(name: str, what: str) -> Callable[[Values, Values], str]:
    return lambda values, reference: f"{what} {values[name]:.2f}, typically {reference[name]:.2f}"


def _count(name: str, what: str) -> Callable[[Values, Values], str]:
    return lambda values, reference: f"{_payments(values[name])} {what}, typically {round(reference[name], 1):g}"


def _frauds(days: int) -> Callable[[Values, Values], str]:
    def text(values: Values, _: Values) -> str:
        count = values[f"terminal_tx_count_{days}d"]
        frauds = round(values[f"terminal_fraud_rate_{days}d"] * count)
        where = f"at this terminal in the {_days(days)} that ended {_days(LABEL_DELAY_DAYS)} ago"
        return f"{frauds} of {_payments(count)} {where} {'was a fraud' if frauds == 1 else 'were frauds'}"

    return text


def _payments(count: float) -> str:
    return f"{count:.0f} payment{'' if count == 1 else 's'}"


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def _texts() -> dict[str, Callable[[Values, Values], str]]:
    texts: dict[str, Callable[[Values, Values], str]] = {
        "amount": _money("amount", "Amount"),
        "is_weekend": lambda values, _: "At a weekend" if values["is_weekend"] else "On a working day",
        "is_night": lambda values, _: (
            f"At night (before {LAST_NIGHT_HOUR + 1}:00 UTC)" if values["is_night"] else "Not at night"
        ),
    }
    for days in WINDOW_DAYS:
        texts |= {
            f"customer_tx_count_{days}d": _count(
                f"customer_tx_count_{days}d", f"by this customer within {_days(days)}, this one included"
            ),
            f"customer_amount_mean_{days}d": _money(
                f"customer_amount_mean_{days}d", f"This customer's mean amount within {_days(days)}"
            ),
            f"terminal_tx_count_{days}d": _count(
                f"terminal_tx_count_{days}d",
                f"at this terminal in the {_days(days)} that ended {_days(LABEL_DELAY_DAYS)} ago",
            ),
            f"terminal_fraud_rate_{days}d": _frauds(days),
        }
    return texts


TEXTS: Final = _texts()
"""For each feature, its value in plain words."""

"""For each feature, its value as a sentence for an analyst."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from contracts.features import LAST_NIGHT_HOUR, WINDOW_DAYS
from contracts.fraud_runs import NO_SUCH_DAYS, RUN_WINDOW_DAYS
from contracts.habit import EXTREME, HABIT_DAYS, RECENT_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from contracts.zones import UTC

Values = Mapping[str, float]
ENDED: Final = f"ending {LABEL_DELAY_DAYS} days ago"
"""The end of a terminal's windows: later frauds are not known yet."""
NO_HABIT: Final = f"This customer has no earlier payment in the last {HABIT_DAYS} days"
NO_FRAUD: Final = f"No known fraud at this terminal in the {RUN_WINDOW_DAYS} days {ENDED}"
FAR_ABOVE: Final = f"above {EXTREME[0] / EXTREME[1]:g} times the median amount"

Text = Callable[[Values, Values], str]
"""Writes the sentence from a payment's features and those of the reference."""


def _money(name: str, what: str) -> Text:
    return lambda values, reference: f"{what} {values[name]:.2f}, typically {reference[name]:.2f}"


def _count(name: str, what: str) -> Text:
    return lambda values, reference: f"{_payments(values[name])} {what}, typically {round(reference[name], 1):g}"


def _times(name: str, what: str, of_what: str) -> Text:
    return lambda values, reference: f"{what} {values[name]:.1f} times {of_what}, typically {reference[name]:.1f} times"


def _since(name: str, what: str, never: str, none: float) -> Text:
    """An age in days, after `what` with its verb; `none` is the value of an event that did not occur."""
    return lambda values, _: never if values[name] >= none else f"{what} {values[name]:.1f} days ago"


def _frauds(days: int) -> Text:
    def text(values: Values, _: Values) -> str:
        count = values[f"terminal_tx_count_{days}d"]
        frauds = round(values[f"terminal_fraud_rate_{days}d"] * count)
        where = f"at this terminal in the {_days(days)} {ENDED}"
        return f"{frauds} of {_payments(count)} {where} {'was' if frauds == 1 else 'were'} reported as fraud"

    return text


def _against_habit(text: Text) -> Text:
    """The text, unless the payment is its customer's first and there is no habit to compare it with."""
    return lambda values, reference: NO_HABIT if values["customer_tx_count_30d"] <= 1 else text(values, reference)


def _with_fraud(text: Text) -> Text:
    """The text, unless the terminal has no known fraud."""
    return lambda values, reference: text(values, reference) if values["terminal_fraud_run_length"] else NO_FRAUD


def _run_length(values: Values, _: Values) -> str:
    frauds = values["terminal_fraud_run_length"]
    if frauds == 1:
        return "The latest known fraud at this terminal is an isolated one"
    return f"The latest {frauds:.0f} known frauds at this terminal are consecutive payments"


def _genuine_since_fraud(values: Values, _: Values) -> str:
    genuine = f"{_payments(values['terminal_genuine_since_fraud'])} at this terminal"
    if values["terminal_fraud_run_length"]:
        return f"{genuine} without a fraud report since its latest known fraud"
    return f"{genuine} in the {_days(RUN_WINDOW_DAYS)} {ENDED}, all without a fraud report"


def _extremes(days: int) -> Text:
    name = f"customer_extreme_count_{days}d"
    return lambda values, _: f"{_payments(values[name], 'earlier ')} by this customer in the {_last(days)} {FAR_ABOVE}"


def _payments(count: float, which: str = "") -> str:
    return f"{count:.0f} {which}payment{'' if count == 1 else 's'}"


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def _last(days: int) -> str:
    return "last day" if days == 1 else f"last {days} days"


def _window_texts(days: int) -> dict[str, Text]:
    texts = {
        "customer_tx_count": _count(
            f"customer_tx_count_{days}d", f"by this customer in the {_last(days)}, including this one"
        ),
        "customer_amount_mean": _money(
            f"customer_amount_mean_{days}d", f"This customer's mean amount in the {_last(days)} is"
        ),
        "terminal_tx_count": _count(f"terminal_tx_count_{days}d", f"at this terminal in the {_days(days)} {ENDED}"),
        "terminal_fraud_rate": _frauds(days),
    }
    return {f"{name}_{days}d": text for name, text in texts.items()}


def _recent_texts(days: int) -> dict[str, Text]:
    most = f"customer_max_to_median_{days}d"
    return {
        most: _times(
            most, f"This customer's largest earlier payment in the {_last(days)} was", "this customer's median amount"
        ),
        f"customer_extreme_count_{days}d": _extremes(days),
    }


def _habit_texts() -> dict[str, Text]:
    return {
        "customer_amount_median": _money("customer_amount_median", "This customer's median amount is"),
        "customer_amount_deviation": _money(
            "customer_amount_deviation", "The median absolute deviation of this customer's amounts is"
        ),
        "amount_to_median": _times("amount_to_median", "The amount is", "this customer's median amount"),
        "amount_to_upper_quartile": _times(
            "amount_to_upper_quartile",
            "The amount is",
            "this customer's upper quartile (75% of their payments are lower)",
        ),
        "amount_deviations": lambda values, _: (
            f"The amount is {abs(values['amount_deviations']):.1f} median absolute deviations "
            f"{'above' if values['amount_deviations'] >= 0 else 'below'} this customer's median amount"
        ),
        "customer_days_since_extreme": _since(
            "customer_days_since_extreme",
            f"This customer's latest payment {FAR_ABOVE} was",
            f"No earlier payment by this customer in the {_last(HABIT_DAYS)} {FAR_ABOVE}",
            float(HABIT_DAYS),
        ),
    }


def _run_texts() -> dict[str, Text]:
    return {
        "terminal_fraud_run_length": _with_fraud(_run_length),
        "terminal_days_since_run_start": _since(
            "terminal_days_since_run_start",
            "The latest run of known frauds at this terminal began",
            NO_FRAUD,
            NO_SUCH_DAYS,
        ),
        "terminal_days_since_fraud": _since(
            "terminal_days_since_fraud",
            "The latest known fraud at this terminal was",
            NO_FRAUD,
            NO_SUCH_DAYS,
        ),
        "terminal_days_since_genuine": _since(
            "terminal_days_since_genuine",
            f"The latest payment at this terminal that is at least {LABEL_DELAY_DAYS} days old and has no fraud report "
            "was",
            f"No payment without a fraud report at this terminal in the {_days(RUN_WINDOW_DAYS)} {ENDED}",
            NO_SUCH_DAYS,
        ),
        "terminal_days_since_genuine_before_run": _with_fraud(
            _since(
                "terminal_days_since_genuine_before_run",
                "The last payment before the latest run of known frauds at this terminal was",
                "No payment without a fraud report before the latest run of known frauds at this terminal",
                NO_SUCH_DAYS,
            )
        ),
        "terminal_fraud_run_amount_mean": _with_fraud(
            lambda values, _: (
                "The mean amount of the latest run of known frauds at this terminal is "
                f"{values['terminal_fraud_run_amount_mean']:.2f}"
            )
        ),
        "terminal_genuine_since_fraud": _genuine_since_fraud,
    }


def _night(zone: str) -> Text:
    clock = UTC.name if zone == UTC.name else f"local time, {zone}"
    night = f"At night (before {LAST_NIGHT_HOUR + 1}:00 {clock})"
    return lambda values, _: night if values["is_night"] else "Not at night"


def _texts() -> dict[str, Text]:
    texts: dict[str, Text] = {
        "amount": _money("amount", "Amount"),
        "is_weekend": lambda values, _: "On a weekend" if values["is_weekend"] else "On a weekday",
        "is_night": _night(UTC.name),
    }
    for days in WINDOW_DAYS:
        texts |= _window_texts(days)
    for days in RECENT_DAYS:
        texts |= _recent_texts(days)
    habits = {name: _against_habit(text) for name, text in _habit_texts().items()}
    return texts | habits | _run_texts()


TEXTS: Final = _texts()


@lru_cache(maxsize=8)
def texts_in(zone: str) -> Mapping[str, Text]:
    """The texts for a bank in the zone of this name."""
    return TEXTS | {"is_night": _night(zone)}

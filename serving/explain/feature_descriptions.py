"""For each feature, its value as a sentence for an analyst."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from contracts.features import LAST_NIGHT_HOUR, WINDOW_DAYS
from contracts.fraud_runs import NO_SUCH_DAYS, RUN_WINDOW_DAYS
from contracts.habit import EXTREME, HABIT_DAYS, RECENT_DAYS
from contracts.labels import LABEL_DELAY_DAYS

Values = Mapping[str, float]
NO_HABIT: Final = f"No earlier payment of this customer within {HABIT_DAYS} days"
NO_FRAUD: Final = (
    f"No known fraud at this terminal in the {RUN_WINDOW_DAYS} days that ended {LABEL_DELAY_DAYS} days ago"
)

Text = Callable[[Values, Values], str]
"""Writes the sentence from a payment's features and those of the reference."""


def _money(name: str, what: str) -> Text:
    return lambda values, reference: f"{what} {values[name]:.2f}, typically {reference[name]:.2f}"


def _count(name: str, what: str) -> Text:
    return lambda values, reference: f"{_payments(values[name])} {what}, typically {round(reference[name], 1):g}"


def _times(name: str, what: str, of_what: str) -> Text:
    return lambda values, reference: f"{what} {values[name]:.1f} times {of_what}, typically {reference[name]:.1f} times"


def _since(name: str, what: str, never: str, none: float) -> Text:
    """An age in days; `none` is the value of an event that did not occur."""
    return lambda values, _: never if values[name] >= none else f"{what} was {values[name]:.1f} days ago"


def _frauds(days: int) -> Text:
    def text(values: Values, _: Values) -> str:
        count = values[f"terminal_tx_count_{days}d"]
        frauds = round(values[f"terminal_fraud_rate_{days}d"] * count)
        where = f"at this terminal in the {_days(days)} that ended {_days(LABEL_DELAY_DAYS)} ago"
        return f"{frauds} of {_payments(count)} {where} {'was a fraud' if frauds == 1 else 'were frauds'}"

    return text


def _against_habit(text: Text) -> Text:
    """The text, unless the payment is its customer's first and there is no habit to compare it with."""
    return lambda values, reference: NO_HABIT if values["customer_tx_count_30d"] <= 1 else text(values, reference)


def _run_length(values: Values, _: Values) -> str:
    frauds = values["terminal_fraud_run_length"]
    if not frauds:
        return NO_FRAUD
    if frauds == 1:
        return "The latest known fraud at this terminal stands alone"
    return f"The latest known frauds at this terminal came {frauds:.0f} in a row"


def _run_amount(values: Values, _: Values) -> str:
    if not values["terminal_fraud_run_length"]:
        return NO_FRAUD
    return f"This terminal's latest frauds in a row took a mean of {values['terminal_fraud_run_amount_mean']:.2f}"


def _extremes(days: int) -> Text:
    name = f"customer_extreme_count_{days}d"
    times = EXTREME[0] / EXTREME[1]
    what = f"by this customer within {_days(days)} of more than {times:g} times its median amount"
    return lambda values, _: f"{_payments(values[name])} {what}"


def _payments(count: float) -> str:
    return f"{count:.0f} payment{'' if count == 1 else 's'}"


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


def _window_texts(days: int) -> dict[str, Text]:
    ended = f"in the {_days(days)} that ended {_days(LABEL_DELAY_DAYS)} ago"
    texts = {
        "customer_tx_count": _count(
            f"customer_tx_count_{days}d", f"by this customer within {_days(days)}, this one included"
        ),
        "customer_amount_mean": _money(
            f"customer_amount_mean_{days}d", f"This customer's mean amount within {_days(days)}"
        ),
        "terminal_tx_count": _count(f"terminal_tx_count_{days}d", f"at this terminal {ended}"),
        "terminal_fraud_rate": _frauds(days),
    }
    return {f"{name}_{days}d": text for name, text in texts.items()}


def _recent_texts(days: int) -> dict[str, Text]:
    most = f"customer_max_to_median_{days}d"
    return {
        most: _times(most, f"This customer's largest earlier payment within {_days(days)} was", "its median amount"),
        f"customer_extreme_count_{days}d": _extremes(days),
    }


def _habit_texts() -> dict[str, Text]:
    return {
        "customer_amount_median": _money("customer_amount_median", "This customer's median amount"),
        "customer_amount_deviation": _money(
            "customer_amount_deviation", "This customer's amounts differ from their median by"
        ),
        "amount_to_median": _times("amount_to_median", "The amount is", "this customer's median"),
        "amount_to_upper_quartile": _times(
            "amount_to_upper_quartile", "The amount is", "what three of four payments of this customer stay below"
        ),
        "amount_deviations": lambda values, _: (
            f"The amount lies {abs(values['amount_deviations']):.1f} of this customer's usual deviations "
            f"{'above' if values['amount_deviations'] >= 0 else 'below'} its median"
        ),
        "customer_days_since_extreme": _since(
            "customer_days_since_extreme",
            "This customer's latest payment far above its median",
            f"No payment of this customer within {_days(HABIT_DAYS)} was far above its median",
            float(HABIT_DAYS),
        ),
    }


def _run_texts() -> dict[str, Text]:
    return {
        "terminal_fraud_run_length": _run_length,
        "terminal_days_since_run_start": _since(
            "terminal_days_since_run_start",
            "The first of this terminal's latest frauds in a row",
            NO_FRAUD,
            NO_SUCH_DAYS,
        ),
        "terminal_days_since_fraud": _since(
            "terminal_days_since_fraud",
            "The latest known fraud at this terminal",
            NO_FRAUD,
            NO_SUCH_DAYS,
        ),
        "terminal_days_since_genuine": _since(
            "terminal_days_since_genuine",
            f"This terminal's latest payment not known as fraud, {_days(LABEL_DELAY_DAYS)} old or older,",
            f"No payment at this terminal, {_days(LABEL_DELAY_DAYS)} old or older, passes for genuine",
            NO_SUCH_DAYS,
        ),
        "terminal_days_since_genuine_before_run": _since(
            "terminal_days_since_genuine_before_run",
            "The payment before this terminal's latest frauds in a row",
            "No payment at this terminal is seen that passed for genuine before known frauds",
            NO_SUCH_DAYS,
        ),
        "terminal_fraud_run_amount_mean": _run_amount,
        "terminal_genuine_since_fraud": lambda values, _: (
            f"{_payments(values['terminal_genuine_since_fraud'])} at this terminal since its latest known fraud "
            "(or in all) passed for genuine"
        ),
    }


def _texts() -> dict[str, Text]:
    texts: dict[str, Text] = {
        "amount": _money("amount", "Amount"),
        "is_weekend": lambda values, _: "At a weekend" if values["is_weekend"] else "On a working day",
        "is_night": lambda values, _: (
            f"At night (before {LAST_NIGHT_HOUR + 1}:00 UTC)" if values["is_night"] else "Not at night"
        ),
    }
    for days in WINDOW_DAYS:
        texts |= _window_texts(days)
    for days in RECENT_DAYS:
        texts |= _recent_texts(days)
    habits = {name: _against_habit(text) for name, text in _habit_texts().items()}
    return texts | habits | _run_texts()


TEXTS: Final = _texts()

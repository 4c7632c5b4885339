"""Measure how much each of four leaks inflates a model's score, against its honest counterpart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import pandas as pd

from contracts.features import BASE_FEATURES
from contracts.labels import DAY, LABEL_DELAY

FEATURES: Final = [*BASE_FEATURES, "customer_id", "terminal_id"]
TEST_DAYS: Final = 14
NONE: Final = -1.0
"""The time since the previous payment, or until the next, if there is none."""

Score = Callable[[pd.DataFrame, pd.DataFrame, Sequence[str]], float]
"""Trains a model on the first table and the named columns; returns its average precision on the second table."""


def split_in_time(payments: pd.DataFrame, trained_at: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test, with the label delay between them."""
    occurred = payments["occurred"]
    training = occurred < trained_at - LABEL_DELAY
    test = (occurred >= trained_at) & (occurred < trained_at + TEST_DAYS * DAY)
    return payments[training], payments[test]


def split_at_random(payments: pd.DataFrame, trained_at: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The payments of both windows, assigned at random; the sizes stay the same."""
    training, test = split_in_time(payments, trained_at)
    dealt = pd.concat([training, test]).sort_values("transaction_id").sample(frac=1, random_state=0)
    return dealt.iloc[: len(training)], dealt.iloc[len(training) :]


def thin_out(payments: pd.DataFrame) -> pd.DataFrame:
    """All frauds, and about a tenth of the genuine payments: undersampling."""
    return payments[payments["fraud"] | (payments["transaction_id"] % 10 == 0)]


def inflations(payments: pd.DataFrame, trained_at: int, score: Score) -> dict[str, float]:
    """What each leak adds to the average precision: the leaky score minus the honest one, by the leak's name.

    `payments` has one row per payment, in any order, with the columns `transaction_id`, `occurred` (seconds since
    1970), `fraud` (bool), `balance_after` and `FEATURES`. The names are `random_split`, `forward_shift`,
    `thinned_first` and `balance_after`.
    """
    # --- your work: begin
    training, test = split_in_time(payments, trained_at)
    honest = score(training, test, FEATURES)

    in_order = payments.sort_values(["customer_id", "occurred", "transaction_id"])
    of_customer = in_order.groupby("customer_id")["occurred"]
    timed = payments.assign(
        since_previous=(in_order["occurred"] - of_customer.shift(1)).fillna(NONE),
        until_next=(of_customer.shift(-1) - in_order["occurred"]).fillna(NONE),
    )
    timed_split = split_in_time(timed, trained_at)
    looking_back = score(*timed_split, [*FEATURES, "since_previous"])
    looking_ahead = score(*timed_split, [*FEATURES, "until_next"])

    thinned_training = thin_out(training)
    return {
        "random_split": score(*split_at_random(payments, trained_at), FEATURES) - honest,
        "forward_shift": looking_ahead - looking_back,
        "thinned_first": score(thinned_training, thin_out(test), FEATURES) - score(thinned_training, test, FEATURES),
        "balance_after": score(training, test, [*FEATURES, "balance_after"]) - honest,
    }
    # --- your work: end

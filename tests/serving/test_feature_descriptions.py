"""The texts for habits and runs of frauds."""

from __future__ import annotations

import pytest

from serving.explain.feature_descriptions import TEXTS
from tests.serving.bundles import REFERENCE


@pytest.mark.parametrize(
    ("feature", "value", "words"),
    [
        ("is_weekend", 1.0, "On a weekend"),
        ("is_night", 1.0, "At night (before 7:00 UTC)"),
        (
            "customer_amount_deviation",
            12.0,
            "The median absolute deviation of this customer's amounts is 12.00, typically 1.00",
        ),
        ("amount_to_median", 6.25, "The amount is 6.2 times this customer's median amount, typically 1.0 times"),
        (
            "amount_to_upper_quartile",
            3.0,
            "The amount is 3.0 times this customer's upper quartile (75% of their payments are lower), typically 1.0 "
            "times",
        ),
        (
            "amount_deviations",
            7.0,
            "The amount is 7.0 median absolute deviations above this customer's median amount",
        ),
        (
            "amount_deviations",
            -1.5,
            "The amount is 1.5 median absolute deviations below this customer's median amount",
        ),
        (
            "customer_max_to_median_7d",
            5.0,
            "This customer's largest earlier payment in the last 7 days was 5.0 times this customer's median amount, "
            "typically 1.0 times",
        ),
        (
            "customer_extreme_count_14d",
            1.0,
            "1 earlier payment by this customer in the last 14 days above 2.5 times the median amount",
        ),
        (
            "customer_days_since_extreme",
            30.0,
            "No earlier payment by this customer in the last 30 days above 2.5 times the median amount",
        ),
        (
            "customer_days_since_extreme",
            2.0,
            "This customer's latest payment above 2.5 times the median amount was 2.0 days ago",
        ),
        ("terminal_fraud_run_length", 0.0, "No known fraud at this terminal in the 30 days ending 7 days ago"),
        ("terminal_fraud_run_length", 1.0, "The latest known fraud at this terminal is an isolated one"),
        ("terminal_fraud_run_length", 9.0, "The latest 9 known frauds at this terminal are consecutive payments"),
        ("terminal_days_since_run_start", 9.0, "The latest run of known frauds at this terminal began 9.0 days ago"),
        ("terminal_days_since_fraud", 37.0, "No known fraud at this terminal in the 30 days ending 7 days ago"),
        ("terminal_days_since_fraud", 7.5, "The latest known fraud at this terminal was 7.5 days ago"),
        (
            "terminal_days_since_genuine",
            8.0,
            "The latest payment at this terminal that is at least 7 days old and has no fraud report was 8.0 days ago",
        ),
        (
            "terminal_days_since_genuine",
            37.0,
            "No payment without a fraud report at this terminal in the 30 days ending 7 days ago",
        ),
        (
            "terminal_days_since_genuine_before_run",
            9.5,
            "The last payment before the latest run of known frauds at this terminal was 9.5 days ago",
        ),
        (
            "terminal_days_since_genuine_before_run",
            37.0,
            "No payment without a fraud report before the latest run of known frauds at this terminal",
        ),
        (
            "terminal_genuine_since_fraud",
            3.0,
            "3 payments at this terminal without a fraud report since its latest known fraud",
        ),
        (
            "terminal_fraud_run_amount_mean",
            12.5,
            "The mean amount of the latest run of known frauds at this terminal is 12.50",
        ),
    ],
)
def test_texts(feature: str, value: float, words: str) -> None:
    values = {"customer_tx_count_30d": 9.0, "terminal_fraud_run_length": 1.0, feature: value}
    assert TEXTS[feature](values, REFERENCE | {feature: 1.0}) == words


@pytest.mark.parametrize("feature", ["amount_to_median", "customer_amount_median", "amount_deviations"])
def test_without_an_earlier_payment_there_is_no_habit(feature: str) -> None:
    values = {"customer_tx_count_30d": 1.0, feature: 1.0}
    assert TEXTS[feature](values, REFERENCE) == "This customer has no earlier payment in the last 30 days"


@pytest.mark.parametrize(
    "feature",
    [
        "terminal_fraud_run_length",
        "terminal_days_since_run_start",
        "terminal_days_since_fraud",
        "terminal_days_since_genuine_before_run",
        "terminal_fraud_run_amount_mean",
    ],
)
def test_without_a_known_fraud_there_is_no_run(feature: str) -> None:
    values = {"terminal_fraud_run_length": 0.0, feature: 0.0 if feature.endswith(("length", "mean")) else 37.0}
    assert TEXTS[feature](values, REFERENCE) == "No known fraud at this terminal in the 30 days ending 7 days ago"


def test_all_payments_since_the_start_are_counted_without_a_known_fraud() -> None:
    values = {"terminal_fraud_run_length": 0.0, "terminal_genuine_since_fraud": 3.0}
    said = TEXTS["terminal_genuine_since_fraud"](values, REFERENCE)
    assert said == "3 payments at this terminal in the 30 days ending 7 days ago, all without a fraud report"

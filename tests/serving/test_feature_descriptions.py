"""The texts for habits and runs of frauds."""

from __future__ import annotations

import pytest

from serving.explain.feature_descriptions import TEXTS
from tests.serving.bundles import REFERENCE


@pytest.mark.parametrize(
    ("feature", "value", "words"),
    [
        ("amount_to_median", 6.25, "The amount is 6.2 times this customer's median, typically 1.0 times"),
        ("amount_deviations", 7.0, "The amount lies 7.0 of this customer's usual deviations above its median"),
        ("amount_deviations", -1.5, "The amount lies 1.5 of this customer's usual deviations below its median"),
        (
            "customer_max_to_median_7d",
            5.0,
            "This customer's largest earlier payment within 7 days was 5.0 times its median amount, "
            "typically 1.0 times",
        ),
        (
            "customer_extreme_count_14d",
            1.0,
            "1 payment by this customer within 14 days of more than 2.5 times its median amount",
        ),
        ("customer_days_since_extreme", 30.0, "No payment of this customer within 30 days was far above its median"),
        ("customer_days_since_extreme", 2.0, "This customer's latest payment far above its median was 2.0 days ago"),
        ("terminal_fraud_run_length", 0.0, "No known fraud at this terminal in the 30 days that ended 7 days ago"),
        ("terminal_fraud_run_length", 1.0, "The latest known fraud at this terminal stands alone"),
        ("terminal_fraud_run_length", 9.0, "The latest known frauds at this terminal came 9 in a row"),
        ("terminal_days_since_fraud", 37.0, "No known fraud at this terminal in the 30 days that ended 7 days ago"),
        ("terminal_days_since_fraud", 7.5, "The latest known fraud at this terminal was 7.5 days ago"),
        (
            "terminal_genuine_since_fraud",
            3.0,
            "3 payments at this terminal since its latest known fraud (or in all) passed for genuine",
        ),
        ("terminal_fraud_run_amount_mean", 12.5, "This terminal's latest frauds in a row took a mean of 12.50"),
    ],
)
def test_texts(feature: str, value: float, words: str) -> None:
    values = {"customer_tx_count_30d": 9.0, "terminal_fraud_run_length": 1.0, feature: value}
    assert TEXTS[feature](values, REFERENCE | {feature: 1.0}) == words


@pytest.mark.parametrize("feature", ["amount_to_median", "customer_amount_median", "amount_deviations"])
def test_without_an_earlier_payment_there_is_no_habit(feature: str) -> None:
    values = {"customer_tx_count_30d": 1.0, feature: 1.0}
    assert TEXTS[feature](values, REFERENCE) == "No earlier payment of this customer within 30 days"

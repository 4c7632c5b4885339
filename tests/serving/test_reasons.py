"""Reasons: signs, order, number and texts."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.features import FEATURES, WINDOW_DAYS
from serving.explain.feature_descriptions import TEXTS
from serving.explain.reasons import reasons
from serving.model.champion import Champion, load_champion
from tests.serving.bundles import REFERENCE, margin, write_bundle


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Champion:
    return load_champion(write_bundle(tmp_path_factory.mktemp("model") / "bundle"), "7")


def matrix(*changes: dict[str, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([[(REFERENCE | change)[name] for name in FEATURES] for change in changes])


def test_margins_are_the_trees_sums(champion: Champion) -> None:
    changes = [{}, {"amount": 500.0}, {"amount": 500.01}, {"terminal_fraud_rate_30d": 0.9, "customer_tx_count_1d": 6.0}]
    expected = [margin(REFERENCE | change) for change in changes]
    assert champion.margins(matrix(*changes)).tolist() == expected
    assert champion.scores(matrix({})).tolist() == [pytest.approx(1 / (1 + np.exp(-margin(REFERENCE))))]
    assert champion.margins(matrix({})[:0]).shape == (0,)


def test_with_one_feature_per_tree_a_contribution_is_the_margin_lost_without_it(
    champion: Champion,
) -> None:
    change = {"amount": 900.0, "terminal_fraud_rate_30d": 0.5, "customer_amount_mean_1d": 900.0}
    (found,) = champion.contributions(matrix(change)).tolist()
    for name, part in zip(FEATURES, found, strict=True):
        values = REFERENCE | change
        assert part == pytest.approx(margin(values) - margin(values | {name: REFERENCE[name]}))


def test_reasons_for_the_decision_come_first(champion: Champion) -> None:
    rows = matrix({"amount": 900.0, "customer_tx_count_1d": 9.0, "terminal_fraud_rate_30d": 0.9})
    (found,) = reasons(champion, rows, ["decline"])
    assert [reason.feature for reason in found] == ["amount", "terminal_fraud_rate_30d", "customer_tx_count_1d"]
    assert [reason.contribution for reason in found] == [4.5, 2.5, 1.5]
    (against,) = reasons(champion, rows, ["approve"])
    assert [reason.feature for reason in against] == [reason.feature for reason in found]
    assert reasons(champion, matrix({}), ["approve"]) == [[]]
    assert reasons(champion, rows, ["decline"], limit=2) == [found[:2]]
    (every,) = reasons(champion, rows, ["decline"], limit=None)
    assert every[:3] == found
    assert {reason.feature: reason.contribution for reason in every[3:]} == dict.fromkeys(
        set(FEATURES) - {reason.feature for reason in found}, 0.0
    )
    assert champion.contributions(rows[:0]).shape == (0, len(FEATURES))


def test_every_feature_has_a_text(champion: Champion) -> None:
    assert set(TEXTS) == set(FEATURES)
    values = REFERENCE | {f"terminal_tx_count_{w}d": 4.0 for w in WINDOW_DAYS}
    values |= {f"terminal_fraud_rate_{w}d": 0.75 for w in WINDOW_DAYS} | {"amount": 853.2, "customer_tx_count_1d": 12.0}
    said = {name: text(values, REFERENCE) for name, text in TEXTS.items()}
    assert said["amount"] == "Amount 853.20, typically 61.00"
    assert said["is_weekend"] == "On a weekday"
    assert said["is_night"] == "Not at night"
    assert (
        said["customer_tx_count_1d"] == "12 payments by this customer in the last day, including this one, typically 2"
    )
    assert (
        said["customer_amount_mean_30d"] == "This customer's mean amount in the last 30 days is 60.00, typically 60.00"
    )
    assert said["terminal_tx_count_30d"] == "4 payments at this terminal in the 30 days ending 7 days ago, typically 20"
    assert said["terminal_fraud_rate_7d"] == (
        "3 of 4 payments at this terminal in the 7 days ending 7 days ago were reported as fraud"
    )
    assert champion.version == "7"

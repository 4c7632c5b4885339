"""The card reports the results and what is undefined, on one self-contained page."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from contracts.bundle import Calibration, Thresholds
from contracts.features import FEATURES
from modeling.data.dataset import Dataset, SplitData
from modeling.data.split import split_days
from modeling.evaluation.costs import Costs
from modeling.evaluation.metric_intervals import GAIN, Scored
from modeling.evaluation.result import evaluate_models
from modeling.evaluation.slices import by_amount, by_customer, by_pattern
from modeling.model_card.card import Facts, card
from modeling.model_card.limitations import FREE, HELD, limitations
from modeling.model_card.markdown import escape, page, table
from modeling.model_card.plots import draw
from modeling.models.candidate import Candidate, DecisionPolicy
from tests.modeling.lakes import DAYS
from tests.modeling.windows import scores_of, window

COSTS = Costs(review=5.0, wrong_decline=25.0)
THRESHOLDS = Thresholds(review=0.3, decline=0.7)
SPLIT = split_days(DAYS)


class Amounts(ClassifierMixin, BaseEstimator):
    """A model that uses only the amount."""

    def __init__(self, steepness: float) -> None:
        self.steepness = steepness

    def fit(self, _features: np.ndarray, frauds: np.ndarray) -> Amounts:
        self.classes_ = np.unique(frauds)
        return self

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.steepness * (features[:, FEATURES.index("amount")] - 250))


def facts_of(test: Dataset, name: str = "fraud") -> Facts:
    decider = DecisionPolicy(calibration=Calibration(slope=1.0, intercept=0.0), thresholds=THRESHOLDS)
    candidate = Candidate(
        first=DAYS.first,
        last=DAYS.last,
        history_from=DAYS.first,
        reviews_per_1000=10.0,
        decider=decider,
        baseline=decider,
        reference={},
        data_fingerprint="",
        parameters_fingerprint="",
    )
    data = SplitData(window(SPLIT.training, seed=1), window(SPLIT.validation, seed=2), test, "f" * 64)
    model, baseline = (Amounts(by).fit(test.features, test.frauds) for by in (0.02, 0.01))
    return Facts(name, candidate, data, COSTS, evaluate_models(candidate, model, baseline, data, COSTS))


@pytest.fixture(scope="module")
def facts() -> Facts:
    return facts_of(window(SPLIT.test))


def rows_of(text: str, section: str) -> dict[str, list[str]]:
    """The rows of the first table after a heading, by their first cell."""
    lines = text.split(f"# {section}\n", 1)[1].split("\n#", 1)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")]
    return {first: rest for first, *rest in cells}


def test_the_card_reports_the_measurements(facts: Facts) -> None:
    text = card(facts)
    metrics, judged = facts.result.metrics, facts.result
    low, high = judged.intervals["test_average_precision"]
    measured = rows_of(text, "Performance")["average precision"]
    assert measured[:2] == [f"{metrics['test_average_precision']:.3f}", f"{low:.3f} to {high:.3f}"]
    assert measured[2] == f"{metrics['baseline_average_precision']:.3f}"
    windows = rows_of(text, "Data")
    assert windows["test"][:3] == [str(SPLIT.test), "2,000", f"{facts.data.test.frauds.sum():,}"]
    decisions = rows_of(text, "Decisions and costs")
    assert decisions["reviews per 1,000 payments"][1] == f"{1_000 * metrics['test_share_reviewed']:.2f}"
    assert decisions["amount caught"][1] == f"{metrics['test_fraud_amount_caught']:,.2f}"
    assert "`" + "f" * 64 + "`" in text
    assert next(iter(rows_of(text, "Feature importance"))) == "feature"
    assert len(rows_of(text, "Feature importance")) == len(FEATURES) + 2
    assert judged.importances[0].feature == "amount"


def test_no_figure_of_the_card_is_nan(facts: Facts) -> None:
    for text in (card(facts), card(facts_of(of_one_kind()))):
        assert not re.search(r"\b(nan|inf|None)\b", text)


def of_one_kind() -> Dataset:
    """One fraud of amount 0 and unknown pattern, on a card that resamples often miss; no new customers."""
    test = window(SPLIT.test, payments=400)
    test.features[:, FEATURES.index("customer_tx_count_30d")] = 4
    amounts = test.amounts.copy()
    amounts[7] = 0.0
    none = np.zeros(400, dtype=np.int64)
    return replace(test, frauds=np.arange(400) == 7, amounts=amounts, patterns=none)


def test_undefined_figures_have_a_reason() -> None:
    text = card(facts_of(of_one_kind()))
    assert rows_of(text, "By fraud pattern")["compromised card"] == [
        *("399", "0", "undefined: no frauds", "0", "0.00", "0.00"),
    ]
    assert rows_of(text, "By known and new customers")["new"][:3] == ["0", "0", "undefined: no frauds"]
    assert "undefined: too many resamples" in rows_of(text, "Performance")["average precision"][1]
    assert rows_of(text, "Decisions and costs")["savings, % of approving all"][1] == "undefined: no frauds"
    assert "compromised terminal (0)" in text
    assert "The pattern of 1 of the 1 frauds in the test is unknown" in text
    assert "does not detect frauds significantly better than the baseline" in text


def test_the_limits_say_whether_the_budget_was_kept(facts: Facts) -> None:
    asked = 1_000 * facts.result.metrics["test_share_reviewed"]
    assert asked > 10
    assert f"it was exceeded, with {asked:.2f} per 1,000" in card(facts)
    lavish = replace(facts, candidate=facts.candidate.model_copy(update={"reviews_per_1000": 999.0}))
    assert f"it was met, with {asked:.2f} per 1,000" in card(lavish)


def test_the_limits_say_whether_scores_are_constrained_by_the_amount(facts: Facts) -> None:
    free = replace(facts, candidate=facts.candidate.model_copy(update={"held_to_amount": False}))
    assert HELD in limitations(facts.candidate, facts.data, facts.result)
    assert FREE in limitations(free.candidate, free.data, free.result)


def test_the_limits_say_where_the_baseline_may_be_as_good(facts: Facts) -> None:
    doubt = "does not detect frauds significantly better than the baseline"
    # Both models rank these payments alike.
    assert facts.result.intervals[GAIN] == (0.0, 0.0)
    assert doubt in card(facts)
    better = replace(facts.result, intervals=facts.result.intervals | {GAIN: (0.01, 0.02)})
    assert doubt not in card(replace(facts, result=better))


def test_each_group_has_its_payments_and_figures() -> None:
    data = window(SPLIT.test)
    one = Scored(scores_of(data), THRESHOLDS)
    genuine, patterns = int((~data.frauds).sum()), by_pattern(data, one)
    assert [group.name for group in patterns] == ["large amount", "compromised terminal", "compromised card", "unknown"]
    assert sum(group.frauds for group in patterns) == data.frauds.sum()
    assert all(group.payments == genuine + group.frauds > genuine for group in patterns)
    for groups in (by_amount(data, one), by_customer(data, one)):
        assert sum(group.payments for group in groups) == len(data.frauds)
        assert sum(group.fraud_amount for group in groups) == pytest.approx(data.amounts[data.frauds].sum())
        caught = data.frauds & (one.scores >= THRESHOLDS.review)
        assert sum(group.caught for group in groups) == caught.sum()
        assert sum(group.caught_amount for group in groups) == pytest.approx(data.amounts[caught].sum())
    new = data.features[:, FEATURES.index("customer_tx_count_30d")] == 1
    assert by_customer(data, one)[1].payments == new.sum()
    first = by_amount(data, one)[0]
    assert first.payments == (data.amounts < float(first.name.removeprefix("below "))).sum()


def test_equal_amounts_give_two_bands() -> None:
    data = replace(window(SPLIT.test), amounts=np.full(2_000, 30.0))
    groups = by_amount(data, Scored(scores_of(data), THRESHOLDS))
    assert [(group.name, group.payments) for group in groups] == [("below 30", 0), ("30 and more", 2_000)]


def test_the_page_is_one_file_with_its_images_and_no_script(facts: Facts) -> None:
    named = replace(facts, model_name="<script>alert(1)</script> | `x`")
    plots = draw(facts.result, facts.data.test, COSTS, 10.0)
    html = page(f"Model card: {named.model_name}", card(named), plots)
    assert "<script" not in html
    assert "<h1>Model card: &lt;script&gt;alert(1)&lt;/script&gt; | `x`</h1>" in html
    sources = re.findall(r'(?:src|href)="([^"]{20})', html)
    assert len(sources) == len(plots) == 3
    assert all(source.startswith("data:image/png;") for source in sources)
    assert "http" not in html
    assert html.count("<table>") == 7


def test_special_characters_in_text_are_escaped() -> None:
    nasty = "a|b <i>*c*</i> [d](e) `f` _g_ &amp; ~~h~~ #1 ![i](j)\n- k"
    assert "<b>" not in page("t", "a <b>bold</b> word\n\n<b>\n", {})
    html = page("t", table(["x", "y"], [[escape(nasty), "1"]]), {})
    assert (
        '<td style="text-align:left">a|b &lt;i&gt;*c*&lt;/i&gt; [d](e) `f` _g_ &amp;amp; ~~h~~ #1 ![i](j) - k</td>'
        in html
    )

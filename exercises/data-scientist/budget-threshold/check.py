"""Checks `choose`: compares thresholds by their cost and their reviews, never by their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations_with_replacement
from numbers import Real
from typing import Any

import numpy as np

from contracts.bundle import Thresholds
from exercises.expect import Description, expect
from modeling.evaluation.costs import Costs, total_cost
from modeling.evaluation.thresholds import EVERY_PAYMENT, allowed_reviews, cheapest_thresholds

COSTS = Costs(review=5, wrong_decline=25)
refuse = partial(expect, same=lambda *_: False)

Given = dict[str, np.ndarray]

PLAIN: Given = {
    "scores": np.array([0.95, 0.75, 0.65, 0.35, 0.25, 0.05]),
    "frauds": np.array([True, False, True, True, False, False]),
    "amounts": np.array([100.0, 20, 80, 60, 30, 10]),
}
TIGHT: Given = {
    "scores": np.array([0.95, 0.95, 0.85, 0.75, 0.55, 0.45, 0.35, 0.25, 0.15, 0.05]),
    "frauds": np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 0], dtype=bool),
    "amounts": np.array([100.0, 50, 70, 20, 40, 30, 90, 20, 10, 10]),
}
LATER: Given = {
    "scores": np.array([0.95, 0.85, 0.65, 0.55, 0.25, 0.15, 0.05, 0.05]),
    "frauds": np.array([1, 0, 0, 0, 0, 1, 0, 0], dtype=bool),
    "amounts": np.array([60.0, 20, 90, 10, 30, 400, 20, 10]),
}
"""The test window: here other thresholds would be best."""
EXTREMES: list[tuple[list[int], float]] = [
    ([1, 1, 1, 1, 1], 0),
    ([0, 0, 0, 0, 0], EVERY_PAYMENT),
    ([1, 1, 0, 0, 1], 400),
]
"""Labels and a budget: it is best to decline all, to approve all, and to decline from a genuine payment's score on."""
CENT = partial(math.isclose, rel_tol=1e-9, abs_tol=0.0051)
"""Costs may be rounded to cents."""


def test_cheapest(answer):
    thresholds, _ = _choice(answer, PLAIN, LATER, EVERY_PAYMENT)
    _judge(PLAIN, thresholds, EVERY_PAYMENT)


def test_budget(answer):
    for budget in (200, 100, 350, 0):
        thresholds, _ = _choice(answer, TIGHT, LATER, budget)
        _judge(TIGHT, thresholds, budget)


def test_extremes(answer):
    for frauds, budget in EXTREMES:
        scores, amounts = np.array([0.95, 0.65, 0.45, 0.35, 0.25]), np.array([90.0, 80, 70, 60, 200])
        given = {"scores": scores, "frauds": np.array(frauds, dtype=bool), "amounts": amounts}
        thresholds, _ = _choice(answer, given, LATER, budget)
        _judge(given, thresholds, budget)


def test_scores_close_together(answer):
    given = TIGHT | {"scores": 0.0017 + np.array(TIGHT["scores"]) / 20}
    thresholds, _ = _choice(answer, given, LATER, 200)
    _judge(given, thresholds, 200)


def test_cost_on_test(answer):
    thresholds, actual = _choice(answer, TIGHT, LATER, 200)
    cost = partial(_cost, thresholds=thresholds)
    expect(
        f"choose(...)[1], the cost of 1,000 payments of a test window of {len(LATER['scores'])}, by your thresholds",
        actual,
        1_000 * cost(LATER) / len(LATER["scores"]),
        "Return the cost of the chosen thresholds' decisions on the test window, per 1,000 payments.",
        mistakes=[
            (
                1_000 * cost(TIGHT) / len(TIGHT["scores"]),
                "That is the cost on the validation window, where the thresholds were chosen: it is too optimistic.",
            ),
            (
                cost(TIGHT),
                "That is the cost on the validation window, where the thresholds were chosen, and not per 1,000 "
                "payments.",
            ),
            (cost(LATER), "That is the cost of all payments of the window. Return it per 1,000 payments."),
            (cost(LATER) / len(LATER["scores"]), "That is the cost per payment. Return it per 1,000 payments."),
            (
                1_000 * cost(LATER) / len(TIGHT["scores"]),
                "You divided by the number of validation payments. The cost is for the test window.",
            ),
        ],
        same=CENT,
    )


def test_agrees_with_production(answer):
    for seed, budget in ((1, 10), (2, 3.5), (3, EVERY_PAYMENT)):
        validation, test = _payments(seed, 2_000), _payments(seed + 100, 1_500)
        thresholds, actual = _choice(answer, validation, test, budget)
        _judge(validation, thresholds, budget, test)
        cost = 1_000 * _cost(test, thresholds) / len(test["scores"])
        expect(
            f"choose({len(validation['scores']):,} payments, {len(test['scores']):,} to test, budget {budget:g})[1]",
            actual,
            cost,
            "modeling/evaluation/costs.py computes a different cost for your thresholds, per 1,000 test payments.",
            mistakes=[(partial(math.isclose, cost, abs_tol=1), "You rounded too coarsely: keep at least cents.")],
            same=CENT,
        )


def _judge(given: Given, chosen: Thresholds, budget: float, test: Given = LATER) -> None:
    """Compare with the pipeline's own thresholds: no more expensive, and within the budget."""
    best = cheapest_thresholds(**given, costs=COSTS, reviews_per_1000=budget)
    allowed, count = allowed_reviews(len(given["scores"]), budget), len(given["scores"])
    declined, reviewed = _decided(given, chosen)
    cost, least = _cost(given, chosen), _cost(given, best)
    limit = f", at most {allowed} reviewed" if budget < EVERY_PAYMENT else ""
    call = f"choose({count:,} payments, reviews_per_1000={budget:g}), its decisions on the validation window"
    if count <= 10:
        call = (
            f"choose(scores={given['scores'].tolist()}, frauds={given['frauds'].astype(int).tolist()}, "
            f"amounts={given['amounts'].astype(int).tolist()}, review costs 5, wrong decline 25, "
            f"reviews_per_1000={budget:g}), its decisions"
        )
    expect(
        call,
        Description(
            f"review {chosen.review:g}, decline {chosen.decline:g}: "
            f"{declined} declined, {reviewed} reviewed, cost {cost:.2f}"
        ),
        Description(f"cost {least:.2f}{limit}"),
        "There is a cheaper pair. Try every pair of candidates (every score, and 1), with review at or below decline.",
        mistakes=[(_either(hit), says) for hit, says in _mistakes(given, chosen, budget, allowed, test)],
        same=lambda *_: reviewed <= allowed and math.isclose(cost, least, abs_tol=1e-6),
    )


def _mistakes(given: Given, chosen: Thresholds, budget: float, allowed: int, test: Given) -> list[tuple[bool, str]]:
    """Possible mistakes, most specific first: whether each was made, and its message."""
    count = len(given["scores"])
    reviewed, decisions = _decided(given, chosen)[1], _decided(given, chosen)

    def by(payments: Given, reviews_per_1000: float) -> bool:
        """Whether these decisions come of the pipeline's thresholds for other payments, or for another budget."""
        found = cheapest_thresholds(**payments, costs=COSTS, reviews_per_1000=reviews_per_1000)
        return decisions == _decided(given, found)

    best = cheapest_thresholds(**given, costs=COSTS, reviews_per_1000=budget)
    free = cheapest_thresholds(**given, costs=COSTS)
    pair = (chosen.review, chosen.decline)
    part = budget * count / 1_000
    places = f"{budget:g} of 1,000 payments are {part:g} of these {count:,}"
    if not math.isclose(part, allowed):
        places += f", so {allowed} may be reviewed"
    return [
        (
            reviewed >= part + 1 and decisions == _decided(given, free),
            f"You ignored the budget, or took it as a total number of reviews: {places}.",
        ),
        (reviewed > allowed, f"There are more reviews than the budget allows: {places}."),
        (
            chosen.review == chosen.decline == 0.5 or chosen.review == 0.5,
            "0.5 is not a natural threshold. The cheapest threshold depends on the costs.",
        ),
        (
            _decided(given, best) == (0, 0),
            "Approving all is cheapest. Is 1, which no score reaches, among your candidates?",
        ),
        (
            not set(pair) <= {1, *given["scores"], *test["scores"]}
            and all(math.isclose(100 * one, round(100 * one)) for one in pair),
            "Your thresholds are on a grid that is too coarse. Try every validation score, and 1.",
        ),
        (
            by(test, budget) or any(_scanned(decisions, given, test, budget, one["scores"]) for one in (test, given)),
            "You chose on the test window. Then no data is left to evaluate the choice: use validation.",
        ),
        (
            by(given | {"amounts": np.ones(count)}, budget),
            "A missed fraud costs its amount, not 1 or 0: use `cost_of`.",
        ),
        (
            count > 1_000 and reviewed <= budget and by(given, 1_000 * budget / count),
            f"The budget is reviews per 1,000 payments, not in total: {places}.",
        ),
        (
            allowed > 0 and _scanned(decisions, given, given, budget, given["scores"], flagged=True),
            "You counted declined payments as reviews. Only payments between the thresholds are reviewed.",
        ),
        (
            decisions[0] == _decided(given, free)[0] and allowed < _decided(given, free)[1],
            "You chose without the budget, then reduced the reviews. Choose both thresholds under the budget: with few "
            "reviews, declining more can be cheaper.",
        ),
        (
            allowed > 0 and by(given, 1_000 * (allowed - 0.5) / count),
            f"The whole budget may be used: {allowed} reviews are within it.",
        ),
        (
            decisions[0] == 0 and _decided(given, best)[0] > 0,
            "No payment is declined. When a fraud is almost certain, or no reviews are left, declining costs less.",
        ),
        (
            chosen.review == chosen.decline and allowed > 0 and _decided(given, best)[1] > 0,
            "Both thresholds are equal, so nothing is reviewed. A review is cheaper than a wrong decline.",
        ),
    ]


def _scanned(
    decisions: tuple[int, int], given: Given, on: Given, budget: float, candidates: np.ndarray, flagged: bool = False
) -> bool:
    """Whether these decisions come of choosing on other payments among these candidates; of few payments alone.

    With `flagged`, declined payments count as reviews.
    """
    if len(given["scores"]) > 10:
        return False
    pairs = combinations_with_replacement([*np.unique(candidates).tolist(), 1.0], 2)
    tried = [Thresholds(review=review, decline=decline) for review, decline in pairs]
    allowed = allowed_reviews(len(on["scores"]), budget)
    fit = [one for one in tried if (sum(_decided(on, one)) if flagged else _decided(on, one)[1]) <= allowed]
    least = min(_cost(on, one) for one in fit)
    return any(decisions == _decided(given, one) for one in fit if _cost(on, one) <= least + 1e-9)


def _either(hit: bool) -> Callable[[object], bool]:
    return lambda _: hit


def _decided(given: Given, thresholds: Thresholds) -> tuple[int, int]:
    """How many are declined, and how many reviewed."""
    declined, flagged = given["scores"] >= thresholds.decline, given["scores"] >= thresholds.review
    return int(declined.sum()), int((flagged & ~declined).sum())


def _cost(given: Given, thresholds: Thresholds) -> float:
    return total_cost(**given, thresholds=thresholds, costs=COSTS)


def _payments(seed: int, count: int) -> Given:
    """Scores in hundredths and a half, calibrated: of those with score p, about p are frauds."""
    rng = np.random.default_rng(seed)
    scores = (np.floor(100 * np.clip(rng.beta(0.12, 3, count), 0, 0.99)) + 0.5) / 100
    return {"scores": scores, "frauds": rng.random(count) < scores, "amounts": np.round(rng.gamma(2, 30, count), 2)}


def _choice(answer, validation: Given, test: Given, budget: float) -> tuple[Thresholds, float]:
    """The thresholds and the cost. Says so where they are none."""
    windows = [answer.Window(**{name: values.copy() for name, values in given.items()}) for given in (validation, test)]
    actual: Any = answer.choose(*windows, COSTS, budget)
    call = f"choose({len(validation['scores']):,} payments, {len(test['scores']):,} to test, budget {budget:g})"
    wanted = Description("(Thresholds(review=..., decline=...), cost of 1,000 test payments)")
    if not isinstance(actual, tuple | list) or len(actual) != 2:
        refuse(call, actual, wanted, "Return two values: the thresholds, and their cost on the test window.")
    thresholds, cost = actual
    pair = [getattr(thresholds, name, None) for name in ("review", "decline")]
    if isinstance(thresholds, tuple | list) and len(thresholds) == 2:
        pair = list(thresholds)
    if not all(_is_number(value) and 0 <= value <= 1 for value in pair) or pair[0] > pair[1]:
        says = "Return the thresholds first: two numbers from 0 to 1, review at or below decline. Then the cost."
        refuse(call, actual, wanted, says)
    if not _is_number(cost):
        refuse(call, actual, wanted, "The second value, the cost of 1,000 test payments, is not a finite number.")
    return Thresholds(review=float(pair[0]), decline=float(pair[1])), float(cost)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)

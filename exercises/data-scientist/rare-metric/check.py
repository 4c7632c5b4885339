"""Checks `measure`: average precision on small rankings, cards on small days, and the pipeline's metrics on many."""

from __future__ import annotations

import math
from functools import partial
from numbers import Real

import numpy as np

from contracts.labels import DAY
from exercises.expect import Description, expect
from modeling.data.dataset import Dataset
from modeling.evaluation.metrics import card_precision
from modeling.evaluation.ranking import Ranking

AVERAGE, CARD = "average_precision", "card_precision"


def test_average_precision(answer):
    scores, frauds = [0.9, 0.8, 0.45, 0.3, 0.2, 0.1, 0.05], [1, 0, 1, 0, 0, 1, 0]
    expect(
        _called(AVERAGE, scores=scores, frauds=frauds),
        _value(answer, AVERAGE, scores, frauds),
        (1 / 1 + 2 / 3 + 3 / 6) / 3,
        "Go down the ranking. At each fraud take the precision so far: the share of frauds among the payments down to "
        "it. Average precision is the mean of these, here of 1/1, 2/3 and 3/6.",
        mistakes=[
            (
                4 / 7,
                "That is accuracy. Where frauds are rare, calling everything genuine is nearly always accurate.",
            ),
            (1 / 2, "That is precision at a fixed 0.5. Average precision covers every threshold."),
            (
                8 / 12,
                "That is the area under the ROC curve, which hardly reacts to false alarms if frauds are rare.",
            ),
            (
                (1 / 1 + 1 / 2 + 2 / 3 + 2 / 4 + 2 / 5 + 3 / 6 + 3 / 7) / 7,
                "You took the mean over all payments. Only payments that are frauds count: there recall rises.",
            ),
            (
                _trapezoid(scores, frauds),
                "You interpolated the curve linearly, which is too optimistic. Average precision uses steps: each "
                "increase of recall times the precision there.",
            ),
        ],
    )


def test_order_of_payments(answer):
    scores, frauds = [0.1, 0.9, 0.3, 0.45], [0, 1, 1, 0]
    expect(
        _called(AVERAGE, scores=scores, frauds=frauds),
        _value(answer, AVERAGE, scores, frauds),
        (1 / 1 + 2 / 3) / 2,
        "Payments come in any order. Rank them by descending score, together with their labels.",
        mistakes=[
            (
                (1 / 2 + 2 / 4) / 2,
                "You ranked by ascending score. The most suspicious payment, with the highest score, comes first.",
            ),
            ((1 / 2 + 2 / 3) / 2, "You did not sort the payments. Rank them by descending score first."),
        ],
    )


def test_equal_scores(answer):
    scores, frauds = [0.9, 0.5, 0.5, 0.5, 0.1], [1, 0, 1, 0, 1]
    ties = (
        "No threshold separates equal scores: flag all payments of a tie together, and take the precision after them."
    )
    expect(
        _called(AVERAGE, scores=scores, frauds=frauds),
        _value(answer, AVERAGE, scores, frauds),
        (1 / 1 + 2 / 4 + 3 / 5) / 3,
        ties,
        mistakes=[
            ((1 / 1 + 2 / place + 3 / 5) / 3, f"You ranked ties one by one, so their input order decides. {ties}")
            for place in (2, 3)
        ],
    )


def test_card_precision_of_a_day(answer):
    # Card 7 has the two most suspicious payments of the day.
    scores, frauds = [0.9, 0.8, 0.7, 0.6, 0.5, 0.1], [1, 1, 0, 1, 0, 0]
    cards, days = [7, 7, 2, 5, 3, 5], [0] * 6
    expect(
        _called(CARD, top=3, scores=scores, frauds=frauds, cards=cards),
        _value(answer, CARD, scores, frauds, cards, days, 3),
        2 / 3,
        "A card's score is the highest score of its payments of the day. The three cards with the highest scores are "
        "inspected, and two of them had a fraud.",
        mistakes=[
            (
                1 / 3,
                "Rank cards, not payments, each by its highest score of the day, not its mean or last.",
            ),
            (
                3 / 3,
                "Two frauds of one card are counted twice. A card is inspected once, and is one hit.",
            ),
        ],
    )


def test_payments_are_not_cards(answer):
    scores, frauds = [0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1]
    cards, days = [7, 7, 7, 5], [0] * 4
    expect(
        _called(CARD, top=2, scores=scores, frauds=frauds, cards=cards),
        _value(answer, CARD, scores, frauds, cards, days, 2),
        2 / 2,
        "Two cards have payments, and both had a fraud: both are found.",
        mistakes=[
            (
                1 / 2,
                "Three payments of one card fill the list: you ranked payments. Rank cards, each once a day.",
            )
        ],
    )


def test_a_card_of_any_fraud(answer):
    scores, frauds = [0.9, 0.2, 0.8], [0, 1, 0]
    cards, days = [7, 7, 5], [0] * 3
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1.0,
        "An analyst sees all payments of a card on that day. It is a hit if any of them is a fraud, not only the one "
        "with the highest score.",
    )


def test_days(answer):
    scores, frauds = [0.9, 0.8, 0.3, 0.7, 0.6, 0.5], [1, 0, 1, 1, 0, 0]
    cards, days = [1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1]
    call = _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days)
    expect(
        call,
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1.0,
        "Take the first `top` cards of each day, then the mean over the days.",
        mistakes=[(1 / 2, "You ranked all days together. Analysts inspect `top` cards every day.")],
    )


def test_found_cards(answer):
    scores, frauds = [0.9, 0.3, 0.9, 0.8], [1, 0, 0, 1]
    cards, days = [7, 2, 7, 5], [0, 0, 1, 1]
    call = _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days)
    expect(
        call,
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1.0,
        "Card 7 was found on day 0 and is blocked. On day 1 card 5 is inspected, which had a fraud.",
        mistakes=[
            (
                1 / 2,
                "The card found on day 0 is ranked on day 1 again. It is blocked: leave it out before ranking.",
            )
        ],
    )
    scores, frauds = [0.9, 0.9, 0.8], [1, 1, 0]
    cards, days = [7, 7, 5], [0, 1, 1]
    call = _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days)
    expect(
        call,
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1 / 2,
        "Card 7 is found on day 0; on day 1 only card 5 is inspected, without a hit.",
        mistakes=[(1.0, "A card found on an earlier day is found again. Each card is found once.")],
    )
    scores, frauds = [0.9, 0.9, 0.8], [0, 1, 0]
    call = _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days)
    expect(
        call,
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1 / 2,
        "Card 7 was inspected on day 0 without a hit, and has a fraud on day 1: it is inspected again, and found.",
        mistakes=[
            (0.0, "You left out a card because it was inspected. Only a card found with a fraud is left out later.")
        ],
    )


def test_days_in_any_order(answer):
    # The later day comes first in the table, and between the two there are days without a payment.
    scores, frauds = [0.9, 0.8, 0.9, 0.1], [1, 0, 1, 1]
    cards, days = [7, 5, 7, 2], [3, 3, 0, 0]
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        (1 + 0) / 2,
        "Card 7 is found on day 0 and blocked; on day 3 only card 5 is inspected, without a hit. Two days have "
        "payments.",
        mistakes=[
            (
                1.0,
                "Days come in any order in the arrays. Process them in ascending order: a card found early is blocked "
                "later.",
            ),
            (1 / 4, "Days without a payment are counted too. The mean is over the days that have payments."),
        ],
    )


def test_a_day_of_blocked_cards_alone(answer):
    scores, frauds, cards, days = [0.9, 0.9], [1, 1], [7, 7], [0, 1]
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        (1 + 0) / 2,
        "On day 1 there is only card 7, which is blocked: no card is inspected, and nothing is found.",
        mistakes=[
            (
                1.0,
                "The day on which every card is blocked is left out, or the card is found again. It counts as 0.",
            )
        ],
    )


def test_who_is_blocked_and_for_how_long(answer):
    scores, frauds = [0.9, 0.5, 0.9], [0, 1, 1]
    cards, days = [7, 5, 5], [0, 0, 1]
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        (0 + 1) / 2,
        "Card 5 had a fraud on day 0 and was not inspected: it is not blocked, and is found on day 1.",
        mistakes=[(0.0, "A card was blocked that was not inspected. Only found cards are blocked.")],
    )
    scores, frauds = [0.9, 0.5, 0.9, 0.8], [1, 0, 1, 0]
    cards, days = [7, 2, 7, 5], [0, 1, 2, 2]
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards, days=days),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1 / 3,
        "Card 7 is found on day 0, and stays blocked: on day 2 card 5 is inspected, without a hit.",
        mistakes=[(2 / 3, "A card is blocked for one day only. Once found, it stays blocked.")],
    )


def test_scores_of_any_kind(answer):
    scores, frauds, cards, days = [-0.001, -0.002, -0.5], [1, 0, 0], [7, 2, 5], [0, 0, 0]
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1.0,
        "Scores may be negative and close together: they only rank. Do not start from a fixed value, and do not round.",
    )


def test_equal_cards(answer):
    scores, frauds, cards, days = [0.9, 0.9], [0, 1], [7, 2], [0, 0]
    expect(
        _called(CARD, top=1, scores=scores, frauds=frauds, cards=cards),
        _value(answer, CARD, scores, frauds, cards, days, 1),
        1.0,
        "Both cards have the same score. The lower card number comes first, here card 2.",
    )


def test_few_cards(answer):
    scores, frauds, cards, days = [0.9, 0.8, 0.7], [1, 0, 0], [7, 2, 2], [0, 0, 1]
    expect(
        _called(CARD, top=4, scores=scores, frauds=frauds, cards=cards, days=days),
        _value(answer, CARD, scores, frauds, cards, days, 4),
        (1 / 4 + 0 / 4) / 2,
        "Divide by `top` on every day.",
        mistakes=[
            (
                (1 / 2 + 0) / 2,
                "You divided by the number of inspected cards. Divide by `top`: analysts have time for that many.",
            ),
            (1 / 4, "You left out a day without a hit. It counts as 0."),
        ],
    )


def test_agrees_with_production(answer):
    for seed, top in ((9, 5), (11, 5), (3, 20)):
        data, scores = _payments(seed)
        days = data.occurred // DAY
        given = (scores, data.frauds, data.customer_id, days, top)
        expected = {
            AVERAGE: Ranking.of(scores, data.frauds).areas(np.ones(len(scores), dtype=np.int64)).average_precision,
            CARD: card_precision(scores, data, top),
        }
        for name, wanted in expected.items():
            expect(
                f"measure({len(scores):,} payments, {len(set(days))} days, many equal scores, top={top})[{name!r}]",
                _value(answer, name, *given),
                wanted,
                "modeling/evaluation/ranking.py and metrics.py differ on many payments. Check equal scores (flag "
                "payments together; the lower card number comes first), the order of the days, and which cards are "
                "blocked since when.",
            )


def _payments(seed: int) -> tuple[Dataset, np.ndarray]:
    """Payments in no order, and scores in twentieths, somewhat higher for frauds."""
    rng, n = np.random.default_rng(seed), 600
    cards, occurred = rng.integers(1_000, 1_080, n), rng.integers(0, 6 * DAY, n) + 20_000 * DAY
    frauds = (cards % 3 == 0) & (rng.random(n) < 0.2)
    scores = np.round(np.clip(rng.beta(1, 6, n) + 0.1 * frauds, 0, 1) * 20) / 20
    none = np.zeros(n, dtype=np.int64)
    return Dataset(rng.random((n, 1)), frauds, none / 1, none, cards, occurred, none), scores


def _value(answer, name: str, scores, frauds, cards=None, days=None, top: int = 2) -> float:
    """One of the two numbers. Says so where there is none."""
    scores, frauds = np.array(scores, dtype=float), np.array(frauds, dtype=bool)
    cards = np.arange(len(scores)) if cards is None else np.array(cards)
    days = np.zeros(len(scores), dtype=np.int64) if days is None else np.array(days)
    actual = answer.measure(scores, frauds, cards, days, top)
    refuse = partial(expect, f"measure({len(scores)} payments)", actual, same=lambda *_: False)
    if not isinstance(actual, dict) or name not in actual:
        refuse(Description(f"a dict with {AVERAGE!r} and {CARD!r}"), f"There is no {name!r} in what you return.")
    value = actual[name]
    if np.ndim(value) != 0 or not isinstance(np.asarray(value).item(), Real) or isinstance(value, bool):
        refuse(Description("two numbers from 0 to 1"), f"{name!r} is not a number.")
    if not math.isfinite(value):
        refuse(Description("two numbers from 0 to 1"), f"{name!r} is not a finite number: is there a division by 0?")
    return float(value)


def _trapezoid(scores, frauds) -> float:
    order = np.argsort(-np.array(scores))
    caught = np.cumsum(np.array(frauds)[order])
    precision, recall = caught / np.arange(1, len(order) + 1), caught / caught[-1]
    return float(np.trapezoid(np.append(1, precision), np.append(0, recall)))


def _called(name: str, top: int | None = None, **given: list) -> str:
    values = ", ".join(f"{word}={values}" for word, values in given.items())
    return f"measure({values}{'' if top is None else f', top={top}'})[{name!r}]"

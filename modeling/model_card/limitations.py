"""The limitations of a model, computed from its data, as text for its card."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np

from contracts.features import TERMINAL_HORIZON_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from contracts.transaction import FRAUD_PATTERNS, from_epoch_seconds
from modeling.data.dataset import Dataset, SplitData
from modeling.evaluation.metric_intervals import GAIN
from modeling.evaluation.result import EvaluationResult
from modeling.models.candidate import Candidate

FEW_FRAUDS: Final = 20
"""Below this number, the share of frauds caught has an interval of about a fifth either way."""
HELD: Final = "A larger amount never lowers the score, so frauds of small amounts are more likely to be missed."
FREE: Final = "A larger amount can lower the score: forbidding it missed many frauds of the training window."
MISUSES: Final = (
    "Assessing customers: the score is about one payment, not about a customer's creditworthiness or honesty.",
    "Declining without a way to object: some declined payments are genuine.",
    "Payments unlike the training data: from another bank, country or currency, or transfers and withdrawals.",
    "Kinds of amounts, customers or terminals that did not occur in the training window.",
    "Features computed by other code, or of another version than in training.",
    "Proof of fraud: a high score is a reason to investigate, not evidence.",
)


def limitations(candidate: Candidate, data: SplitData, result: EvaluationResult) -> list[str]:
    """The model's limitations, one sentence or more for each."""
    return [
        _history(candidate, data),
        _window(candidate, data.test),
        *_patterns(data.test),
        _labels(candidate),
        _shares(data),
        _budget(candidate, result),
        *_baseline(result),
        _amounts(data),
        HELD if candidate.held_to_amount else FREE,
        "The model does not know the device, the location or the merchant of a payment, or what the customer says.",
        "Simulated payments, which include the published data, have only the simulator's fraud patterns, and these do "
        "not change as real fraud does. If the bank's data is simulated, this card does not show how fast the model "
        "becomes outdated.",
    ]


def _history(candidate: Candidate, data: SplitData) -> str:
    days = candidate.split.training
    warm = candidate.history_from + timedelta(days=TERMINAL_HORIZON_DAYS)
    cold = sum(day < warm for day in days.days())
    return (
        f"The model was trained on {len(days.days())} days with {data.training.frauds.sum():,} known frauds. Its "
        f"features look back up to {TERMINAL_HORIZON_DAYS} days; {cold} of the training days had a shorter history."
    )


def _window(candidate: Candidate, test: Dataset) -> str:
    days, cards = len(candidate.split.test.days()), np.unique(test.customer_id[test.frauds])
    return (
        f"It was tested on {days} days with {test.frauds.sum():,} frauds on {len(cards):,} cards. Expect results on "
        "other days to differ by more than the intervals show."
    )


def _patterns(test: Dataset) -> list[str]:
    counts = {name: int((test.patterns == number).sum()) for number, name in FRAUD_PATTERNS.items()}
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW_FRAUDS]
    unknown = int(test.frauds.sum()) - sum(counts.values())
    points = []
    if few:
        points.append(
            f"The figures of fraud patterns with fewer than {FEW_FRAUDS} frauds are unreliable: {', '.join(few)}."
        )
    if unknown:
        points.append(f"The pattern of {unknown:,} of the {test.frauds.sum():,} frauds in the test is unknown.")
    return points


def _labels(candidate: Candidate) -> str:
    trained, tested = (
        from_epoch_seconds(at).date() for at in (candidate.split.trained_at, candidate.split.evaluated_at)
    )
    return (
        f"Frauds not reported before {trained} count as genuine in training, and those not reported before {tested} in "
        f"the test. When the model scores a payment, it does not know of frauds in the {LABEL_DELAY_DAYS} days before."
    )


def _shares(data: SplitData) -> str:
    shares = [f"{1_000 * window.frauds.mean():.2f} ({name})" for name, window in data.windows.items()]
    return (
        f"Frauds per 1,000 payments: {', '.join(shares)}. If this share rises or falls, the scores are too low or too "
        "high until the model is retrained."
    )


def _budget(candidate: Candidate, result: EvaluationResult) -> str:
    budget, asked = candidate.reviews_per_1000, 1_000 * result.metrics["test_share_reviewed"]
    kept = "was met" if asked <= budget else "was exceeded"
    return (
        f"The review budget of {budget:g} per 1,000 payments applies to the average over the validation window, so "
        f"other windows and single days can exceed it. On the test window it {kept}, with {asked:.2f} per 1,000; the "
        f"busiest day had {result.metrics['test_reviews_per_day_max']:,.0f} reviews."
    )


def _baseline(result: EvaluationResult) -> list[str]:
    if GAIN in result.intervals and result.intervals[GAIN][0] > 0:
        return []
    return ["The model does not detect frauds significantly better than the baseline, by average precision."]


def _amounts(data: SplitData) -> str:
    largest = data.training.amounts.max()
    above = int((data.test.amounts > largest).sum())
    return (
        f"The largest amount in training is {largest:,.2f}; {above:,} of {len(data.test.amounts):,} payments in the "
        "test exceed it. Scores of larger amounts are less reliable."
    )

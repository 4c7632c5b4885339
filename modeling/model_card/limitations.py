"""The limitations of a model, computed from its data, as text for its card."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np

from contracts.features import TERMINAL_HORIZON_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from contracts.transaction import FRAUD_PATTERNS, from_epoch_seconds
from modeling.data.dataset import Dataset, SplitData
from modeling.evaluation.result import EvaluationResult
from modeling.evaluation.window_intervals import GAIN
from modeling.models.candidate import Candidate

FEW_FRAUDS: Final = 20
"""Below this number, the share of frauds caught has an interval of about a fifth either way."""
HELD: Final = "A larger amount never lowers the score, so frauds with small amounts are detected late."
FREE: Final = (
    "A larger amount may lower the score: with the opposite constraint, many frauds of the training window were missed."
)
MISUSES: Final = (
    "Judging people: the score is about one payment, not about a customer's credit, honesty or worth.",
    "Declining without appeal: some declined payments are genuine, and customers must be able to object.",
    "Payments unlike its training data: another bank, currency or country, transfers, withdrawals.",
    "Amounts, customers or terminals of a kind that is not in the training window.",
    "Features computed by other code, or of another version than in training.",
    "Proof of fraud: a high score is a reason to investigate.",
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
        "It has no information about device, location or merchant, nor anything that the customer says.",
        "Simulated payments, the published data included, contain only the simulator's fraud patterns, which do not "
        "change like real frauds. If the bank's data is simulated, nothing here shows how fast the model ages.",
    ]


def _history(candidate: Candidate, data: SplitData) -> str:
    days = candidate.split.training
    warm = candidate.history_from + timedelta(days=TERMINAL_HORIZON_DAYS)
    cold = sum(day < warm for day in days.days())
    return (
        f"It was trained on {len(days.days())} days with {data.training.frauds.sum():,} known frauds. Features use up "
        f"to {TERMINAL_HORIZON_DAYS} days of history; {cold} of the training days had less."
    )


def _window(candidate: Candidate, test: Dataset) -> str:
    days, cards = len(candidate.split.test.days()), np.unique(test.customer_id[test.frauds])
    return (
        f"It was evaluated on {days} days with {test.frauds.sum():,} frauds on {len(cards):,} cards: results on other "
        "days vary by more than the intervals show."
    )


def _patterns(test: Dataset) -> list[str]:
    counts = {name: int((test.patterns == number).sum()) for number, name in FRAUD_PATTERNS.items()}
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW_FRAUDS]
    unknown = int(test.frauds.sum()) - sum(counts.values())
    points = []
    if few:
        points.append(f"Patterns with fewer than {FEW_FRAUDS} frauds have unreliable figures: {', '.join(few)}.")
    if unknown:
        points.append(f"The pattern of {unknown:,} of {test.frauds.sum():,} frauds is unknown.")
    return points


def _labels(candidate: Candidate) -> str:
    trained, tested = (
        from_epoch_seconds(at).date() for at in (candidate.split.trained_at, candidate.split.evaluated_at)
    )
    return (
        f"Frauds not reported before {tested} count as genuine in the test, those not reported before {trained} count "
        f"as genuine in training. The model does not know frauds of the last {LABEL_DELAY_DAYS} days before a payment."
    )


def _shares(data: SplitData) -> str:
    shares = [f"{1_000 * window.frauds.mean():.2f} ({name})" for name, window in data.windows.items()]
    return f"Frauds per 1,000 payments: {', '.join(shares)}. If the share changes, the scores are off by as much."


def _budget(candidate: Candidate, result: EvaluationResult) -> str:
    budget, asked = candidate.reviews_per_1000, 1_000 * result.metrics["test_share_reviewed"]
    kept = "was kept" if asked <= budget else "was exceeded"
    return (
        f"The review budget of {budget:g} per 1,000 holds only on the validation window, as a mean over its days. On "
        f"the test window it {kept} with {asked:.2f}, and a single day had up to "
        f"{result.metrics['test_reviews_per_day_max']:,.0f} reviews."
    )


def _baseline(result: EvaluationResult) -> list[str]:
    if GAIN in result.intervals and result.intervals[GAIN][0] > 0:
        return []
    return ["Its average precision is not significantly higher than the baseline's."]


def _amounts(data: SplitData) -> str:
    largest = data.training.amounts.max()
    above = int((data.test.amounts > largest).sum())
    return (
        f"The largest amount in training is {largest:,.2f}; {above:,} of {len(data.test.amounts):,} payments of the "
        "test window are above it."
    )

"""Where a model ends, as far as its own data shows it, in words for its card."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np

from contracts.features import TERMINAL_HORIZON_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from contracts.transaction import FRAUD_PATTERNS, from_epoch_seconds
from modeling.data.dataset import Dataset, SplitData
from modeling.evaluation.result import Judgement
from modeling.evaluation.window_intervals import GAIN
from modeling.models.candidate import Candidate

FEW_FRAUDS: Final = 20
"""Below this a share caught is known to no better than about a fifth either way."""
HELD: Final = "A larger amount never lowers its score: where small payments are frauds, it sees them late."
FREE: Final = "A larger amount may lower its score: held to the contrary it missed many frauds in its training window."
MISUSES: Final = (
    "Judging people: a score is of one payment, never of a customer's credit, honesty or worth.",
    "Declining without a way to object: of the payments declined some are genuine, and the customer must be heard.",
    "Other payments than those it learnt from: another bank, currency or country, transfers, withdrawals.",
    "Amounts, customers or terminals of a kind that its training window does not hold.",
    "Features computed by other code, or of another version than it was trained on.",
    "Proof of a fraud: a high score is a reason to look.",
)


def limits(candidate: Candidate, data: SplitData, judgement: Judgement) -> list[str]:
    """What makes the card's figures less than they look, one point each."""
    return [
        _history(candidate, data),
        _window(candidate, data.test),
        *_patterns(data.test),
        _labels(candidate),
        _shares(data),
        _budget(candidate, judgement),
        *_baseline(judgement),
        _amounts(data),
        HELD if candidate.held_to_amount else FREE,
        "What it was not given it cannot see: no device, no place, no merchant, no word of the customer.",
        "Payments of a simulator, the published data among them, hold the few patterns that were put in and do not "
        "change as real frauds do: where the bank's data is such, nothing here says how fast the model ages.",
    ]


def _history(candidate: Candidate, data: SplitData) -> str:
    days = candidate.split.training
    warm = candidate.history_from + timedelta(days=TERMINAL_HORIZON_DAYS)
    cold = sum(day < warm for day in days.days())
    return (
        f"It learnt from {len(days.days())} days with {data.training.frauds.sum():,} known frauds. Features look back "
        f"up to {TERMINAL_HORIZON_DAYS} days; {cold} of these days had less than that before them."
    )


def _window(candidate: Candidate, test: Dataset) -> str:
    days, cards = len(candidate.split.test.days()), np.unique(test.customer_id[test.frauds])
    return (
        f"It was judged on {days} days, {test.frauds.sum():,} frauds on {len(cards):,} cards: "
        "other days differ by more than the intervals say."
    )


def _patterns(test: Dataset) -> list[str]:
    counts = {name: int((test.patterns == number).sum()) for number, name in FRAUD_PATTERNS.items()}
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW_FRAUDS]
    unknown = int(test.frauds.sum()) - sum(counts.values())
    said = []
    if few:
        said.append(f"Fewer than {FEW_FRAUDS} frauds of a pattern say little of it: {', '.join(few)}.")
    if unknown:
        said.append(f"The pattern of {unknown:,} of {test.frauds.sum():,} frauds is not known.")
    return said


def _labels(candidate: Candidate) -> str:
    trained, judged = (from_epoch_seconds(at).date() for at in (candidate.split.trained_at, candidate.split.judged_at))
    return (
        f"A fraud that nobody had reported by the start of {judged} counts as genuine here, and in training by the "
        f"start of {trained}. Of frauds of the {LABEL_DELAY_DAYS} days before a payment the model knows nothing."
    )


def _shares(data: SplitData) -> str:
    shares = [f"{1_000 * window.frauds.mean():.2f} ({name})" for name, window in data.windows.items()]
    return f"Frauds of 1,000 payments were {', '.join(shares)}: where the share changes, the scores are off by as much."


def _budget(candidate: Candidate, judgement: Judgement) -> str:
    budget, asked = candidate.reviews_per_1000, 1_000 * judgement.metrics["test_share_reviewed"]
    kept = "was kept" if asked <= budget else "was exceeded"
    return (
        f"The review budget of {budget:g} of 1,000 holds where the thresholds were chosen, as a mean over the days; on "
        f"the test window it {kept} with {asked:.2f}, and a single day had up to "
        f"{judgement.metrics['test_reviews_per_day_max']:,.0f} reviews."
    )


def _baseline(judgement: Judgement) -> list[str]:
    if GAIN in judgement.intervals and judgement.intervals[GAIN][0] > 0:
        return []
    return ["It is not certain that it tells frauds apart better than the baseline does."]


def _amounts(data: SplitData) -> str:
    largest = data.training.amounts.max()
    above = int((data.test.amounts > largest).sum())
    return (
        f"The largest amount it learnt from is {largest:,.2f}; of {len(data.test.amounts):,} payments of the test "
        f"window {above:,} are above it."
    )

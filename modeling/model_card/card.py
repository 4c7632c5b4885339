"""The model card: what a version is, how good it is and for whom, what it costs, and where it ends; for people.

Written once, in Markdown; the page is made of it. Every figure is computed, and one that is not defined says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.bundle import CARD_HTML, CARD_MARKDOWN
from contracts.features import FEATURES, FEATURES_VERSION
from contracts.labels import LABEL_DELAY_DAYS
from modeling.data.dataset import SplitData
from modeling.evaluation.costs import Costs
from modeling.evaluation.importance import REPEATS, SAMPLE
from modeling.evaluation.intervals import RESAMPLES
from modeling.evaluation.metrics import TOP_CARDS
from modeling.evaluation.result import BASELINE, CANDIDATE, Judgement
from modeling.evaluation.slices import AMOUNT_QUANTILES, Group, by_amount, by_customer, by_pattern
from modeling.evaluation.window_intervals import GAIN
from modeling.model_card.limitations import MISUSES, limits
from modeling.model_card.markdown import escape, page, table
from modeling.model_card.plots import CALIBRATION, COST, PRECISION_RECALL
from modeling.models.candidate import Candidate

FIGURES: Final = {
    "average_precision": ("average precision", 3),
    "roc_auc": ("AUC ROC", 3),
    f"card_precision_{TOP_CARDS}": (f"card precision at {TOP_CARDS}", 3),
    "brier": ("Brier score", 5),
    "cost_per_1000": ("cost of 1,000 payments", 2),
}
"""What the table of figures shows: words and decimals of each metric."""


@dataclass(frozen=True)
class Facts:
    """What a card tells: the registered model's name, what training handed over, the data, and the judgement."""

    model_name: str
    candidate: Candidate
    data: SplitData
    costs: Costs
    judgement: Judgement


def write_card(root: Path, facts: Facts, pictures: Mapping[str, bytes]) -> None:
    """Write the card below `root` as Markdown and as a page; `pictures` by file name, PNG."""
    text = card(facts)
    (root / CARD_MARKDOWN).parent.mkdir(parents=True, exist_ok=True)
    (root / CARD_MARKDOWN).write_text(text)
    (root / CARD_HTML).write_text(page(f"Model card: {facts.model_name}", text, pictures))


def card(facts: Facts) -> str:
    """The card's Markdown."""
    sections = {
        f"# Model card: {escape(facts.model_name)}": _about(),
        "## Data": _data(facts),
        "## How good it is": _figures(facts.judgement),
        "## For whom": _groups(facts),
        "## Are its scores probabilities?": _calibration(facts),
        "## Decisions and money": _decisions(facts),
        "## What it leans on": _importances(facts.judgement),
        "## Limits": _list(limits(facts.candidate, facts.data, facts.judgement)),
        "## What it must not be used for": _list(MISUSES),
    }
    return "\n\n".join(part for title, text in sections.items() for part in (title, text)) + "\n"


def _about() -> str:
    return (
        f"It gives each card payment the probability that it is a fraud ({CANDIDATE}, calibrated), and two thresholds "
        "make of it a decision: approve, review or decline. It is for the bank's own card payments, scored as they "
        f"happen, with analysts who look at those to review. It sees {len(FEATURES)} features, version "
        f"{escape(FEATURES_VERSION)}, of the payment and of the recent history of its customer and terminal. "
        f"The baseline beside it is {BASELINE} on the same features."
    )


def _data(facts: Facts) -> str:
    split = facts.candidate.split
    rows = [
        [name, str(getattr(split, name)), f"{len(window.frauds):,}", f"{window.frauds.sum():,}", f"{share:.2f}"]
        for name, window in facts.data.windows.items()
        for share in [1_000 * window.frauds.mean()]
    ]
    return "\n\n".join(
        (
            table(["window", "days", "payments", "frauds known", "frauds of 1,000"], rows),
            f"A fraud is known {LABEL_DELAY_DAYS} days after it happened, or later; so many days lie between the "
            "windows, and no label was used before it was known.",
            f"Fingerprint of the data (SHA-256): `{facts.data.fingerprint}`",
        )
    )


def _figures(judgement: Judgement) -> str:
    rows = [
        [words, *(cell for of in ("test", "baseline") for cell in _figure(judgement, f"{of}_{name}", decimals))]
        for name, (words, decimals) in FIGURES.items()
    ]
    header = ["on the test window", CANDIDATE, "95 % interval", BASELINE, "95 % interval"]
    gain = judgement.metrics["test_average_precision"] - judgement.metrics["baseline_average_precision"]
    between = _interval(judgement, GAIN, 3)
    return "\n\n".join(
        (
            table(header, rows),
            f"Average precision above the baseline's, on the same draws: {gain:+.3f} ({between}). "
            f"Intervals are of {RESAMPLES} draws of whole cards, for a card's payments are not independent; they say "
            "what another choice of cards would do, not what another week would.",
            f"![Precision and recall on the test window]({PRECISION_RECALL})",
        )
    )


def _figure(judgement: Judgement, name: str, decimals: int) -> tuple[str, str]:
    return f"{judgement.metrics[name]:,.{decimals}f}", _interval(judgement, name, decimals)


def _interval(judgement: Judgement, name: str, decimals: int) -> str:
    if name.endswith("_brier"):
        return "not measured"
    if name not in judgement.intervals:
        return "not defined: too many draws without a fraud"
    low, high = judgement.intervals[name]
    return f"{low:,.{decimals}f} to {high:,.{decimals}f}"


def _groups(facts: Facts) -> str:
    test, mine = facts.data.test, facts.judgement.model
    shares = ", ".join(f"{100 * share:g}" for share in AMOUNT_QUANTILES)
    return "\n\n".join(
        (
            "All on the test window. Caught is a fraud that is reviewed or declined; amounts are in the currency of "
            "the payments.",
            "### By fraud pattern",
            "Each pattern's frauds are measured among all genuine payments. Patterns are known for analysis only: the "
            "model does not see them.",
            _group_table("pattern", by_pattern(test, mine)),
            "### By amount",
            f"The bands end near the {shares} % points of the amounts.",
            _group_table("amount", by_amount(test, mine)),
            "### By customers known and new",
            "New: the payment is its customer's only one of the 30 days up to it.",
            _group_table("customer", by_customer(test, mine)),
        )
    )


def _group_table(kind: str, groups: list[Group]) -> str:
    header = [kind, "payments", "frauds", "average precision", "frauds caught", "amount of frauds", "amount caught"]
    return table(header, [_group_row(group) for group in groups])


def _group_row(group: Group) -> list[str]:
    none = "not defined: no frauds" if group.frauds == 0 else "not defined: no genuine payments"
    precision = none if group.average_precision is None else f"{group.average_precision:.3f}"
    caught = _share(group.caught, group.frauds, ",.0f")
    amount = _share(group.caught_amount, group.fraud_amount, ",.2f")
    return [
        group.name,
        f"{group.payments:,}",
        f"{group.frauds:,}",
        precision,
        caught,
        f"{group.fraud_amount:,.2f}",
        amount,
    ]


def _share(part: float, whole: float, style: str) -> str:
    return f"{part:{style}} ({100 * part / whole:.0f} %)" if whole > 0 else f"{part:{style}}"


def _calibration(facts: Facts) -> str:
    bins, share = facts.judgement.calibration, float(facts.data.test.frauds.mean())
    brier = facts.judgement.metrics["test_brier"]
    return "\n\n".join(
        (
            f"On the test window the scores add up to {float(bins.payments @ bins.predicted):,.0f} frauds, and "
            f"{bins.frauds.sum():,} were found. The expected calibration error is {bins.expected_error:.5f}: how far "
            "the mean score of payments of like score is from their share of frauds, on average over the "
            f"{len(bins.payments)} bins of the picture. The Brier score is {brier:.5f}; saying {share:.5f} of every "
            f"payment would have {share * (1 - share):.5f}.",
            f"![Calibration on the test window]({CALIBRATION})",
        )
    )


def _decisions(facts: Facts) -> str:
    metrics, validation = facts.judgement.metrics, facts.judgement.validation
    budget, thresholds = facts.candidate.reviews_per_1000, facts.candidate.decider.thresholds
    named = {
        "reviews of 1,000 payments": ("share_reviewed", 1_000, 2),
        "declined of 1,000 payments": ("share_declined", 1_000, 2),
        "reviews a day, mean": ("reviews_per_day_mean", 1, 1),
        "reviews a day, most": ("reviews_per_day_max", 1, 0),
        "cost of 1,000 payments": ("cost_per_1000", 1, 2),
        "the same, approving all": ("cost_per_1000_approving_all", 1, 2),
        "savings on 1,000 payments": ("savings_per_1000", 1, 2),
        "savings, % of approving all": ("savings_share", 100, 1),
        "amount of frauds": ("fraud_amount", 1, 2),
        "amount caught": ("fraud_amount_caught", 1, 2),
    }
    test = {name.removeprefix("test_"): value for name, value in metrics.items()}
    rows = [
        [words, *(_scaled(found.get(name), factor, places) for found in (validation, test))]
        for words, (name, factor, places) in named.items()
    ]
    return "\n\n".join(
        (
            f"Review from a score of {thresholds.review:.4f}, decline from {thresholds.decline:.4f}: the pair that "
            f"costs least on the validation window with at most {budget:g} reviews of 1,000 payments there, on average "
            f"over its days. A missed fraud costs its amount, a review {facts.costs.review:g}, a genuine payment "
            f"declined {facts.costs.wrong_decline:g}.",
            table(["decisions", "validation", "test"], rows),
            f"![What the threshold to review costs]({COST})",
        )
    )


def _scaled(value: float | None, factor: float, decimals: int) -> str:
    return "not defined: nothing to save" if value is None else f"{factor * value:,.{decimals}f}"


def _importances(judgement: Judgement) -> str:
    if not judgement.importances:
        return "Not defined: no fraud among the payments drawn to measure it."
    rows = [[f"`{one.feature}`", f"{one.mean:z.4f}", f"{one.deviation:.4f}"] for one in judgement.importances]
    return "\n\n".join(
        (
            "How much average precision is lost when one feature's values are shuffled among the payments "
            f"({REPEATS} times, on {SAMPLE:,} payments of the test window at most). Features that tell the same stand "
            "in for one another, and each then shows less than it is worth.",
            table(["feature", "average precision lost", "deviation of the shuffles"], rows),
        )
    )


def _list(points: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {point}" for point in points)

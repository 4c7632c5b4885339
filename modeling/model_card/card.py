"""The model card: data, performance, calibration, decisions, feature importance and limitations of a version.

The card is written in Markdown and rendered to HTML. Every figure is computed; an undefined one says why.
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
from modeling.evaluation.metric_intervals import GAIN
from modeling.evaluation.metrics import TOP_CARDS
from modeling.evaluation.result import BASELINE, CANDIDATE, EvaluationResult
from modeling.evaluation.slices import AMOUNT_QUANTILES, Slice, by_amount, by_customer, by_pattern
from modeling.model_card.limitations import MISUSES, limitations
from modeling.model_card.markdown import escape, page, table
from modeling.model_card.plots import CALIBRATION, COST, PRECISION_RECALL
from modeling.models.candidate import Candidate

FIGURES: Final = {
    "average_precision": ("average precision", 3),
    "roc_auc": ("AUC ROC", 3),
    f"card_precision_{TOP_CARDS}": (f"card precision at {TOP_CARDS}", 3),
    "brier": ("Brier score", 5),
    "cost_per_1000": ("cost per 1,000 payments", 2),
}
"""The metrics in the performance table: label and number of decimals."""


@dataclass(frozen=True)
class Facts:
    """The content of a card: the registered model's name, the candidate, the data, the costs and the evaluation."""

    model_name: str
    candidate: Candidate
    data: SplitData
    costs: Costs
    result: EvaluationResult


def write_card(root: Path, facts: Facts, plots: Mapping[str, bytes]) -> None:
    """Write the card under `root` as Markdown and as HTML; `plots` are PNG files by name."""
    text = card(facts)
    (root / CARD_MARKDOWN).parent.mkdir(parents=True, exist_ok=True)
    (root / CARD_MARKDOWN).write_text(text)
    (root / CARD_HTML).write_text(page(f"Model card: {facts.model_name}", text, plots))


def card(facts: Facts) -> str:
    """The card's Markdown."""
    sections = {
        f"# Model card: {escape(facts.model_name)}": _about(),
        "## Data": _data(facts),
        "## Performance": _figures(facts.result),
        "## Performance by slice": _slices(facts),
        "## Calibration": _calibration(facts),
        "## Decisions and costs": _decisions(facts),
        "## Feature importance": _importances(facts.result),
        "## Limitations": _list(limitations(facts.candidate, facts.data, facts.result)),
        "## Out of scope": _list(MISUSES),
    }
    return "\n\n".join(part for title, text in sections.items() for part in (title, text)) + "\n"


def _about() -> str:
    return (
        f"The model estimates the probability that a card payment is a fraud ({CANDIDATE}, calibrated); two thresholds "
        "turn it into a decision: approve, review or decline. It is intended for the bank's own card payments, scored "
        f"as they happen, with analysts who review the flagged ones. It uses {len(FEATURES)} features, version "
        f"{escape(FEATURES_VERSION)}, of the payment and of the recent history of its customer and terminal. "
        f"The baseline is {BASELINE} on the same features."
    )


def _data(facts: Facts) -> str:
    split = facts.candidate.split
    rows = [
        [
            name,
            str(getattr(split, name)),
            f"{len(window.frauds):,}",
            f"{window.frauds.sum():,}",
            f"{share:.2f}",
            f"{window.left_out:,}",
        ]
        for name, window in facts.data.windows.items()
        for share in [1_000 * window.frauds.mean()]
    ]
    return "\n\n".join(
        (
            table(["window", "days", "payments", "known frauds", "frauds per 1,000", "left out"], rows),
            "Left out are payments whose label is unknown: no figure of this card counts them as frauds or as genuine. "
            f"Night and weekend are in the zone {escape(facts.candidate.bank_zone.id.name)}.",
            f"A fraud is known {LABEL_DELAY_DAYS} days after the payment at the earliest. The windows are separated by "
            "that label delay, and no label was used before it was known.",
            f"Fingerprint of the data (SHA-256): `{facts.data.fingerprint}`",
        )
    )


def _figures(result: EvaluationResult) -> str:
    rows = [
        [words, *(cell for of in ("test", "baseline") for cell in _figure(result, f"{of}_{name}", decimals))]
        for name, (words, decimals) in FIGURES.items()
    ]
    header = ["on the test window", CANDIDATE, "95% interval", BASELINE, "95% interval"]
    gain = result.metrics["test_average_precision"] - result.metrics["baseline_average_precision"]
    between = _interval(result, GAIN, 3)
    return "\n\n".join(
        (
            table(header, rows),
            f"Difference in average precision to the baseline, on the same resamples: {gain:+.3f} ({between}). "
            f"Intervals are from {RESAMPLES} bootstrap resamples of whole cards, because a card's payments are not "
            "independent. They show the variation between samples of cards, not between weeks.",
            f"![Precision and recall on the test window]({PRECISION_RECALL})",
        )
    )


def _figure(result: EvaluationResult, name: str, decimals: int) -> tuple[str, str]:
    return f"{result.metrics[name]:,.{decimals}f}", _interval(result, name, decimals)


def _interval(result: EvaluationResult, name: str, decimals: int) -> str:
    if name.endswith("_brier"):
        return "not measured"
    if name not in result.intervals:
        return "undefined: too many resamples without frauds"
    low, high = result.intervals[name]
    return f"{low:,.{decimals}f} to {high:,.{decimals}f}"


def _slices(facts: Facts) -> str:
    test, mine = facts.data.test, facts.result.model
    shares = ", ".join(f"{100 * share:g}" for share in AMOUNT_QUANTILES)
    return "\n\n".join(
        (
            "All on the test window. A fraud is caught if it is reviewed or declined; amounts are in the currency of "
            "the payments.",
            "### By fraud pattern",
            "Each pattern's frauds are measured against all genuine payments. Patterns are for analysis only: the "
            "model does not use them.",
            _slice_table("pattern", by_pattern(test, mine)),
            "### By amount",
            f"The bands end near the {shares}% quantiles of the amounts.",
            _slice_table("amount", by_amount(test, mine)),
            "### By known and new customers",
            "New: the payment is its customer's only one in the last 30 days.",
            _slice_table("customer", by_customer(test, mine)),
        )
    )


def _slice_table(kind: str, slices: list[Slice]) -> str:
    header = [kind, "payments", "frauds", "average precision", "frauds caught", "amount of frauds", "amount caught"]
    return table(header, [_slice_row(part) for part in slices])


def _slice_row(part: Slice) -> list[str]:
    none = "undefined: no frauds" if part.frauds == 0 else "undefined: no genuine payments"
    precision = none if part.average_precision is None else f"{part.average_precision:.3f}"
    caught = _share(part.caught, part.frauds, ",.0f")
    amount = _share(part.caught_amount, part.fraud_amount, ",.2f")
    return [
        part.name,
        f"{part.payments:,}",
        f"{part.frauds:,}",
        precision,
        caught,
        f"{part.fraud_amount:,.2f}",
        amount,
    ]


def _share(part: float, whole: float, style: str) -> str:
    return f"{part:{style}} ({100 * part / whole:.0f} %)" if whole > 0 else f"{part:{style}}"


def _calibration(facts: Facts) -> str:
    bins, share = facts.result.calibration, float(facts.data.test.frauds.mean())
    brier = facts.result.metrics["test_brier"]
    return "\n\n".join(
        (
            f"On the test window the scores predict {float(bins.payments @ bins.predicted):,.0f} frauds, and "
            f"{bins.frauds.sum():,} occurred. The expected calibration error is {bins.expected_error:.5f}: the "
            "difference between the mean score and the share of frauds, averaged over the payments in the "
            f"{len(bins.payments)} bins of the plot. The Brier score is {brier:.5f}; a constant score of {share:.5f} "
            f"would have {share * (1 - share):.5f}.",
            f"![Calibration on the test window]({CALIBRATION})",
        )
    )


def _decisions(facts: Facts) -> str:
    metrics, validation = facts.result.metrics, facts.result.validation
    budget, thresholds = facts.candidate.reviews_per_1000, facts.candidate.decider.thresholds
    named = {
        "reviews per 1,000 payments": ("share_reviewed", 1_000, 2),
        "declines per 1,000 payments": ("share_declined", 1_000, 2),
        "reviews per day, mean": ("reviews_per_day_mean", 1, 1),
        "reviews per day, maximum": ("reviews_per_day_max", 1, 0),
        "cost per 1,000 payments": ("cost_per_1000", 1, 2),
        "cost of approving all": ("cost_per_1000_approving_all", 1, 2),
        "savings per 1,000 payments": ("savings_per_1000", 1, 2),
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
            f"Review from a score of {thresholds.review:.4f}, decline from {thresholds.decline:.4f}: the pair with the "
            f"lowest cost on the validation window with at most {budget:g} reviews per 1,000 payments, on average over "
            f"its days. A missed fraud costs its amount, a review {facts.costs.review:g}, a wrong decline "
            f"{facts.costs.wrong_decline:g}.",
            table(["decisions", "validation", "test"], rows),
            f"![Cost by review threshold]({COST})",
        )
    )


def _scaled(value: float | None, factor: float, decimals: int) -> str:
    return "undefined: no frauds" if value is None else f"{factor * value:,.{decimals}f}"


def _importances(result: EvaluationResult) -> str:
    if not result.importances:
        return "Undefined: the sample has no frauds or no genuine payments."
    rows = [[f"`{one.feature}`", f"{one.mean:z.4f}", f"{one.deviation:.4f}"] for one in result.importances]
    return "\n\n".join(
        (
            "Permutation importance: the decrease of average precision when one feature's values are shuffled "
            f"({REPEATS} times, on at most {SAMPLE:,} payments of the test window). The importance of correlated "
            "features is underestimated, because each can replace the others.",
            table(["feature", "decrease of average precision", "standard deviation"], rows),
        )
    )


def _list(points: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {point}" for point in points)

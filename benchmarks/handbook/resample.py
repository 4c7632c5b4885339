"""95% bootstrap intervals over test weeks, paired: each resample of cards is used for all weeks and models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.handbook.measures import MEASURES
from benchmarks.handbook.our_models import CHAMPION
from modeling.data.dataset import Dataset
from modeling.evaluation.intervals import RESAMPLES, Interval, bootstrap, intervals
from modeling.evaluation.metrics import TOP_CARDS, card_precision
from modeling.evaluation.ranking import Ranking

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCHES: Final = 8
"""The number of batches of resamples, each with its own seed, which run in parallel."""


@dataclass(frozen=True)
class Judged:
    """The input to resample: the payments of each test week, without features, and each model's scores."""

    weeks: list[Dataset]
    scores: dict[str, list[Floats]]


@dataclass(frozen=True)
class Intervals:
    """The intervals of each model and measure, and of the champion's average precision minus each other model's."""

    models: dict[str, dict[str, Interval]]
    champion_less: dict[str, Interval]


def judged(weeks: list[Dataset], scores: dict[str, list[Floats]]) -> Judged:
    """The weeks and scores without the features, which would be copied to every process."""
    return Judged([replace(week, features=np.empty((len(week.frauds), 0))) for week in weeks], scores)


def resampled_intervals(what: Judged, done: Callable[[int], None], resamples: int = RESAMPLES) -> Intervals:
    """The intervals; a measure that is undefined in too many resamples, for lack of frauds, has none."""
    from joblib import Parallel, delayed

    each = resamples // BATCHES
    batches = Parallel(n_jobs=-1, return_as="generator")(delayed(_batch)(what, each, seed) for seed in range(BATCHES))
    drawn: list[Mapping[str, float]] = []
    for batch in batches:
        drawn += batch
        done(each)
    found = intervals(drawn)
    models = {
        model: {name: found[f"{model}/{name}"] for name in MEASURES if f"{model}/{name}" in found}
        for model in what.scores
    }
    return Intervals(models, {model: found[f"less/{model}"] for model in what.scores if f"less/{model}" in found})


def _batch(what: Judged, resamples: int, seed: int) -> list[Mapping[str, float]]:
    ends = np.cumsum([0, *(len(week.frauds) for week in what.weeks)])
    rankings = {
        model: [Ranking.of(some, week.frauds) for some, week in zip(scores, what.weeks, strict=True)]
        for model, scores in what.scores.items()
    }

    def measures(rows: Ints, cards: Ints) -> Mapping[str, float]:
        found: dict[str, list[float]] = {}
        for number, week in enumerate(what.weeks):
            within = (rows >= ends[number]) & (rows < ends[number + 1])
            drawn, drawn_cards = rows[within] - ends[number], cards[within]
            for model, scores in what.scores.items():
                one = _measures(rankings[model][number], scores[number], week, drawn, drawn_cards)
                for name, value in one.items():
                    found.setdefault(f"{model}/{name}", []).append(value)
        return _with_differences({name: float(np.mean(values)) for name, values in found.items()}, list(what.scores))

    return bootstrap(measures, np.concatenate([week.customer_id for week in what.weeks]), resamples, seed)


def _measures(ranking: Ranking, scores: Floats, week: Dataset, drawn: Ints, cards: Ints) -> dict[str, float]:
    areas = ranking.areas(np.bincount(drawn, minlength=len(scores)))
    again = replace(
        week, frauds=week.frauds[drawn], amounts=week.amounts[:0], customer_id=cards, occurred=week.occurred[drawn]
    )
    cp100 = card_precision(scores[drawn], again, TOP_CARDS)
    return {"auc": areas.roc_auc, "ap": areas.average_precision, "cp100": cp100}


def _with_differences(found: dict[str, float], models: list[str]) -> dict[str, float]:
    own = found[f"{CHAMPION}/ap"]
    return found | {f"less/{model}": own - found[f"{model}/ap"] for model in models if model != CHAMPION}

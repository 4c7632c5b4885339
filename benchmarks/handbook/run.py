"""Run the benchmark: choose parameters, train and test week by week, resample."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from bank.progress import progress_of
from benchmarks.handbook import published_figures
from benchmarks.handbook.choose import ESTIMATORS, Parameters, choose, four_week_models, searched
from benchmarks.handbook.data import Payments
from benchmarks.handbook.errors import BenchmarkError
from benchmarks.handbook.features import features_of
from benchmarks.handbook.measures import figures, summary
from benchmarks.handbook.our_models import CHAMPION, OURS
from benchmarks.handbook.protocol import Prepared, Week, is_published, weeks_of
from benchmarks.handbook.published_models import BASE_WEEK, Floats, Model
from benchmarks.handbook.resample import Intervals, judged, resampled_intervals
from benchmarks.handbook.schedule import PUBLISHED_WEEKS, Schedule
from modeling.data.split import HISTORY_DAYS
from modeling.evaluation.intervals import RESAMPLES

Done = Callable[[int], None]


@dataclass(frozen=True)
class Scores:
    """Each model's scores of each week's test payments, and the seconds of each training."""

    by_model: dict[str, list[Floats]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A section of the report: some weeks, each model's figures over them, and optionally intervals."""

    starts: list[date]
    payments: int
    frauds: int
    figures: dict[str, dict[str, float]]
    intervals: Intervals | None = None


@dataclass(frozen=True)
class Results:
    """The content of the report; `published` has the figures published for exactly these test payments."""

    base_week: Section
    four_weeks: Section
    validation: Section | None
    published: dict[str, dict[str, published_figures.Three]]
    chosen: dict[str, Parameters]
    champion_seconds: dict[date, float]
    cores: int
    notes: list[str]


def benchmark(payments: Payments, schedule: Schedule) -> Results:
    """Run the benchmark on these weeks. Raises `BenchmarkError` if no test week can be measured."""
    test, notes = weeks_of(payments, schedule.test)
    if not test:
        raise BenchmarkError(f"no week can be measured: {'; '.join(notes)}. Choose another START or use more payments")
    validation, more = weeks_of(payments, schedule.validation)
    with progress_of("computing features", len(payments)) as done:
        data = Prepared(payments, features_of(payments))
        done(len(payments))
    total = searched(len(validation)) + len(BASE_WEEK)
    total += len(test) * (len(ESTIMATORS) + len(OURS)) + len(validation) * (len(ESTIMATORS) + 1)
    with progress_of("training", total, "models") as done:
        chosen = choose(data, validation, done)
        published = four_week_models(chosen)
        base = _scored(BASE_WEEK, data, test[:1], done)
        validated = _scored(published | {CHAMPION: OURS[CHAMPION]}, data, validation, done)
        four = _scored(published | OURS, data, test, done)
    for name in OURS:
        base.by_model[name] = four.by_model[name][:1]
    with progress_of("resampling", 2 * RESAMPLES, "resamples") as done:
        sections = [_section(data, weeks, some, done) for weeks, some in ((test[:1], base), (test, four))]
    return Results(
        base_week=sections[0],
        four_weeks=sections[1],
        validation=_section(data, validation, validated) if validation else None,
        published=_published(is_published(payments, test[0]), len(test)),
        chosen=chosen,
        champion_seconds={week.start: took for week, took in zip(test, four.seconds[CHAMPION], strict=True)},
        cores=os.cpu_count() or 1,
        notes=notes + more + _notes(payments, test, validation, schedule),
    )


def _scored(models: dict[str, Model], data: Prepared, weeks: list[Week], done: Done) -> Scores:
    found = Scores()
    for name, model in models.items():
        for week in weeks:
            start = time.monotonic()
            scorer = model(data, week)
            found.seconds.setdefault(name, []).append(time.monotonic() - start)
            found.by_model.setdefault(name, []).append(scorer(week.test))
            done(1)
    return found


def _section(data: Prepared, weeks: list[Week], scored: Scores, done: Done | None = None) -> Section:
    tested = [data.dataset(week.test) for week in weeks]
    return Section(
        starts=[week.start for week in weeks],
        payments=sum(len(some.frauds) for some in tested),
        frauds=int(sum(some.frauds.sum() for some in tested)),
        figures={
            name: summary([figures(one, some) for one, some in zip(scores, tested, strict=True)])
            for name, scores in scored.by_model.items()
        },
        intervals=resampled_intervals(judged(tested, scored.by_model), done) if done else None,
    )


def _published(same_week: bool, weeks: int) -> dict[str, dict[str, published_figures.Three]]:
    """The figures published for exactly these test payments."""
    sections = {"base_week": published_figures.BASE_WEEK} if same_week else {}
    return sections | ({"four_weeks": published_figures.FOUR_WEEKS} if same_week and weeks == PUBLISHED_WEEKS else {})


def _notes(payments: Payments, test: list[Week], validation: list[Week], schedule: Schedule) -> list[str]:
    notes = []
    missing = len(schedule.test) - len(schedule.validation)
    if not validation:
        notes.append("there is no validation week before the first test: the published models' parameters are fixed")
    elif missing:
        notes.append(f"the data begins too late for {missing} of {len(schedule.test)} validation weeks")
    days = payments.days
    short = [int(days[week.history[-1]] - days[week.history[0]]) + 1 for week in test]
    if min(short) < HISTORY_DAYS:
        notes.append(f"the data has {min(short)} days of history, but the champion trains on {HISTORY_DAYS}")
    return notes

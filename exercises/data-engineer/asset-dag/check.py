"""Checks of the two DAGs, as Airflow's own DagBag reads them: structure, never source."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from exercises.expect import Description, IncorrectError, expect

PRODUCER: Final = "exercise_features"
CONSUMER: Final = "exercise_training"
ASSET: Final = ("fraud_features", "fraud://lake/features")
START: Final = datetime(2025, 1, 1, tzinfo=UTC)
A_DAY: Final = timedelta(days=1)
RUNS: Final = 400
WORK: Final = {"build_features": "compute_features", "hand_over": "say_done", "train": "fit_model"}
DAGS: Final = Path(__file__).resolve().parents[3] / "dags"

AT_IMPORT = (
    "The file does the work at import. Airflow imports it again and again to find its DAGs: a task gets the function, "
    "and calls it only when it runs."
)
NOT_CALLED = (
    "A task is missing. A function under @task becomes a task only when it is called in the DAG's block: `train()` on "
    "a line of its own, or between two `>>`."
)
OTHER_ASSET = (
    "This is a different Asset from the one asked for. Two DAGs share an Asset by its name and uri; where these "
    "differ, the second DAG never starts. Create it once, and use it in both."
)
NO_OUTLET = "No task updates the Asset, so the other DAG never starts. Set the task's `outlets`."
TOO_EARLY = (
    "The first task updates the Asset, as soon as it succeeds, before the day is complete. The last task must update "
    "it."
)


def read_bag(path: Path) -> Any:
    """The DAGs in a file or a folder, read by Airflow as its DAG processor does. No server, no database."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=path, safe_mode=False, load_op_links=False)


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A separate home for Airflow, which reads these variables when it is first imported."""
    home = tmp_path_factory.mktemp("airflow")
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        # The default before Airflow 3, and still set in many installations: the DAG must set it explicitly.
        "AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT": "True",
    }


@pytest.fixture(scope="module")
def dags(answer: Any) -> Callable[[], Any]:
    """Reads the learner's DAGs when it is called: what goes wrong then belongs to a test."""
    return functools.cache(lambda: read_answer(answer))


def read_answer(answer: Any) -> Any:
    """The learner's two DAGs by their ids."""
    # Imported directly first, so that an error is reported with its line.
    expect("importing the file: what was done by then", answer.RAN, [], AT_IMPORT)
    bag = read_bag(answer.path)
    if bag.import_errors:
        words = Description(str(next(iter(bag.import_errors.values()))).strip().split("\n")[-1])
        mistake = "Airflow rejects the file. The tasks of a DAG must have unique names and no cycle."
        raise IncorrectError("Airflow's DagBag on the file", words, Description("no error"), mistake)
    names = sorted(bag.dags)
    mistakes = [
        ([], "Airflow finds no DAG. A function under @dag makes one only when it is called, at the end of the file."),
        (
            lambda actual: len(actual) == 1 and actual[0] in (PRODUCER, CONSUMER),
            "One of the two DAGs is missing: is its function called, if it is under @dag?",
        ),
    ]
    otherwise = f"The file must declare the DAGs {PRODUCER} and {CONSUMER}, and no others."
    expect("Airflow's DagBag on the file: its DAGs", names, sorted([PRODUCER, CONSUMER]), otherwise, mistakes)
    return bag.dags


def order(dag: Any) -> dict[str, list[str]]:
    """Each task and its direct downstream tasks."""
    return {one.task_id: sorted(one.downstream_task_ids) for one in sorted(dag.tasks, key=lambda one: one.task_id)}


def outlets(dag: Any) -> dict[str, list[tuple[str, str]]]:
    """Each task and the name and uri of its outlets."""
    return {one.task_id: named(one.outlets) for one in sorted(dag.tasks, key=lambda one: one.task_id)}


def named(assets: Any) -> list[tuple[str, str]]:
    """The names and uris of Assets."""
    return [(str(getattr(one, "name", one)), str(getattr(one, "uri", ""))) for one in assets]


def waits_for(dag: Any) -> list[tuple[str, str]]:
    """The name and uri of each Asset that a DAG is scheduled by."""
    condition = getattr(dag.timetable, "asset_condition", None)
    if condition is None:
        return []
    # An Asset that is named twice is one.
    return sorted(set(named(getattr(condition, "objects", [condition]))))


def runs(dag: Any) -> list[datetime]:
    """When the first runs of a DAG are due, from 2025-01-01 on, a year and more; empty where no clock starts it."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    timetable, last, due = coerce_to_core_timetable(dag.timetable), None, []
    for _ in range(RUNS):
        since = TimeRestriction(earliest=dag.start_date or START, latest=None, catchup=True)
        last = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=since)
        if last is None or last.run_after is None:
            break
        due.append(datetime.fromtimestamp(last.run_after.timestamp(), UTC))
    return due


def test_order(dags: Callable[[], Any]) -> None:
    """The second task waits for the first."""
    expected = {"build_features": ["hand_over"], "hand_over": []}
    apart = (
        "The two tasks have no dependency, so they run at the same time. `first >> second` makes the second wait for "
        "the first."
    )
    mistakes = [
        ({"build_features": [], "hand_over": []}, apart),
        ({"build_features": [], "hand_over": ["build_features"]}, "The order is reversed."),
        (lambda actual: actual.keys() < expected.keys(), NOT_CALLED),
        (
            lambda actual: actual.keys() != expected.keys(),
            "The tasks must have the task_ids build_features and hand_over.",
        ),
    ]
    otherwise = "hand_over must come directly after build_features, with nothing after it."
    expect(f"{PRODUCER}: its tasks, and what comes after each", order(dags()[PRODUCER]), expected, otherwise, mistakes)
    otherwise = "It has one task, called train."
    call = f"{CONSUMER}: its tasks, and what comes after each"
    expect(call, order(dags()[CONSUMER]), {"train": []}, otherwise, [({}, NOT_CALLED)])


def test_outlet(dags: Callable[[], Any]) -> None:
    """Only the last task updates the Asset."""
    expected = {"build_features": [], "hand_over": [ASSET]}
    mistakes = [
        ({"build_features": [], "hand_over": []}, NO_OUTLET),
        (lambda actual: bool(actual["build_features"]), TOO_EARLY),
        (lambda actual: actual["hand_over"] != [ASSET], OTHER_ASSET),
    ]
    call = f"{PRODUCER}: the outlets of each task (name and uri)"
    expect(call, outlets(dags()[PRODUCER]), expected, "Only hand_over must have the Asset as an outlet.", mistakes)


def test_waits_for_the_asset(dags: Callable[[], Any]) -> None:
    """The second DAG is started by the Asset, not by a clock."""
    clock = (
        "No Asset starts this DAG. The time when the features are ready is a guess, and a late day breaks it: schedule "
        "the DAG on the Asset."
    )
    call = f"{CONSUMER}: the Assets it is scheduled by"
    mistakes = [([], clock), (lambda actual: len(actual) == 1, OTHER_ASSET)]
    otherwise = "It must be scheduled on the Asset that the other DAG updates."
    expect(call, waits_for(dags()[CONSUMER]), [ASSET], otherwise, mistakes)


def test_schedule(dags: Callable[[], Any]) -> None:
    """The first DAG runs every day at 03:00 UTC, from 2025-01-01."""
    dag = dags()[PRODUCER]
    start = Description(str(dag.start_date))
    expect(
        f"{PRODUCER}: start_date",
        start,
        Description("some time on 2025-01-01, UTC"),
        "The DAG needs the start_date 2025-01-01, from which its schedule counts. A start_date based on now() changes "
        "with each import.",
        same=lambda *_: dag.start_date is not None and timedelta(0) <= dag.start_date - START < timedelta(days=1),
    )
    due = runs(dag)
    odd = next((n for n, one in enumerate(due) if f"{one:%H:%M}" != "03:00" or (n and one - due[n - 1] != A_DAY)), None)
    # The first three, or those around the first that is odd.
    shown = due[:3] if odd is None else due[max(0, odd - 1) : odd + 2]
    actual = [f"{one:%a %Y-%m-%d %H:%M}" for one in shown] if odd is not None else [f"{one:%H:%M}" for one in shown]
    expected = ["03:00", "03:00", "03:00"]
    mistakes = [
        ([], "No clock starts this DAG: it has no schedule."),
        (lambda _: all(f"{one:%H:%M}" == "00:00" for one in due), "It runs at midnight, not at 03:00 UTC."),
        (
            lambda _: odd is not None and odd > 0,
            "It does not run every day at 03:00 UTC: these are the runs around the first wrong one.",
        ),
    ]
    otherwise = (
        "It must run once a day, at 03:00 UTC. A schedule can be a cron expression: minute, hour, and three stars."
    )
    expect(f"{PRODUCER}: when its runs are due (UTC)", actual, expected, otherwise, mistakes)


def test_catchup_and_retries(dags: Callable[[], Any]) -> None:
    """Past days are not run, and a failed task is retried."""
    actual = {name: dag.catchup for name, dag in sorted(dags().items())}
    on = (
        "Catch-up is on: when the DAG is first started, Airflow runs it once for every day since its start_date, all "
        "at once. Here each run is given its days; set catchup=False."
    )
    expect("catchup of both", actual, {PRODUCER: False, CONSUMER: False}, on)
    tries = {one.task_id: one.retries for dag in dags().values() for one in dag.tasks}
    none = "A failed task is not retried. An idempotent job should be: set retries in default_args."
    otherwise = "Each task must have retries=2, in the default_args of both DAGs or on each task."
    expected = dict.fromkeys(WORK, 2)
    expect("retries of each task", tries, expected, otherwise, [(lambda actual: 0 in actual.values(), none)])
    ends = {name: dag.end_date for name, dag in sorted(dags().items())}
    expect("end_date of both", ends, {PRODUCER: None, CONSUMER: None}, "The DAGs must have no end_date.")
    rules = {
        one.task_id: str(getattr(one.trigger_rule, "value", one.trigger_rule))
        for dag in dags().values()
        for one in dag.tasks
    }
    failed = (
        "A task runs even if the previous one failed: the Asset would be updated for a missing day. Keep the default "
        "trigger_rule."
    )
    expect("trigger_rule of each task", rules, dict.fromkeys(rules, "all_success"), failed)


def given(task: Any, body: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a task's function: those in the file; None for what another task or Airflow would provide."""

    def plain(value: Any) -> Any:
        return None if type(value).__name__.endswith("XComArg") else value

    positional = [plain(value) for value in getattr(task, "op_args", None) or ()]
    by_name = {name: plain(value) for name, value in (getattr(task, "op_kwargs", None) or {}).items()}
    asked = list(inspect.signature(body).parameters.values())
    for one in asked[len(positional) :]:
        if (
            one.default is one.empty
            and one.name not in by_name
            and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        ):
            by_name[one.name] = None
    return positional, by_name


def test_tasks_do_their_work(dags: Callable[[], Any]) -> None:
    """Each task calls its function when it runs."""
    for task in [one for dag in dags().values() for one in dag.tasks]:
        function = getattr(task, "python_callable", None)
        body = function.func if isinstance(function, functools.partial) else function
        done = sys.modules[body.__module__].RAN if body and hasattr(sys.modules.get(body.__module__), "RAN") else None
        if body is None or done is None:
            otherwise = "The task must run a Python function of this file."
            raise IncorrectError(
                f"the task {task.task_id}", Description(type(task).__name__), Description("a Python task"), otherwise
            )
        done.clear()
        # A task may take what another one returned: here there is nothing.
        arguments, named_ones = given(task, function)
        result = function(*arguments, **named_ones)
        if inspect.isgenerator(result):
            # What a task yields is read by Airflow.
            list(result)
        otherwise = f"The task {task.task_id} must call {WORK[task.task_id]}(), once."
        expect(f"the task {task.task_id}, when it runs: what was done", list(done), [WORK[task.task_id]], otherwise)


def test_agrees_with_production(dags: Callable[[], Any]) -> None:
    """The same Asset, updated only by the last task, and the same kind of schedule, as in the pipeline's own DAGs."""
    sys.path.insert(0, str(DAGS))
    pipeline = read_bag(DAGS).dags
    daily, training = pipeline["fraud_daily"], pipeline["fraud_training"]
    mine = {
        "announced": [one for some in outlets(dags()[PRODUCER]).values() for one in some],
        "waited for": waits_for(dags()[CONSUMER]),
        "scheduled by": type(dags()[CONSUMER].timetable).__name__,
        "announced by the last task": all(
            not order(dags()[PRODUCER])[n] for n, x in outlets(dags()[PRODUCER]).items() if x
        ),
        "catchup": {dags()[PRODUCER].catchup, dags()[CONSUMER].catchup},
        "retries": {one.retries for dag in dags().values() for one in dag.tasks},
    }
    theirs = {
        "announced": [one for some in outlets(daily).values() for one in some],
        "waited for": waits_for(training),
        "scheduled by": type(training.timetable).__name__,
        "announced by the last task": all(not order(daily)[n] for n, x in outlets(daily).items() if x),
        "catchup": {daily.catchup, training.catchup},
        "retries": {one.retries for dag in (daily, training) for one in dag.tasks},
    }
    otherwise = "dags/fraud_daily.py and dags/fraud_training.py are connected differently."
    expect("both DAGs, alongside the pipeline's own", mine, theirs, otherwise)

"""Checks `honest_split`: the windows, their ends, the labels, and the pipeline's own split."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from functools import partial

import numpy as np

from bank.simulator import Payments, Simulation, simulate
from contracts.days import DayRange, first_second
from contracts.labels import DAY, LABEL_DELAY_DAYS, NEVER, known_at
from exercises.expect import Description, expect
from modeling.data.split import split_days

START = first_second(date(2025, 3, 1))
TRAINED_ON_DAY = 20
TEST_DAYS = 7
DELAY_STARTS = TRAINED_ON_DAY - LABEL_DELAY_DAYS
TEST_ENDS = TRAINED_ON_DAY + TEST_DAYS

WINDOWS = (0.5, 4.25, 12.75, 13.5, 16.5, 19.75, 20.5, 23.5, 26.75, 27.5, 30.5)
"""The days on which payments occur, none at midnight."""
MOVED = (
    "The number of frauds is right, but the labels belong to other payments. Return the labels in the order of the "
    "positions, and do not reorder `occurred` and `reported`."
)


def test_training_window(answer):
    call = f"honest_split: payments on days {_days(WINDOWS)}, trained_at = day {TRAINED_ON_DAY}"
    training, _ = _split(answer, call, WINDOWS)
    before = _positions(WINDOWS, lambda day: day < DELAY_STARTS)
    up_to_training = _positions(WINDOWS, lambda day: day < TRAINED_ON_DAY)
    expect(
        f"{call}: positions in `training`",
        sorted(training),
        before,
        f"Train on all payments before day {DELAY_STARTS}: {TRAINED_ON_DAY} minus the label delay of "
        f"{LABEL_DELAY_DAYS} days.",
        mistakes=[
            (
                up_to_training,
                "The gap of one label delay is missing. The frauds of the last 7 days are not known yet at training, "
                "so the model would learn those payments as genuine.",
            ),
            (
                lambda actual: any(WINDOWS[row] >= TRAINED_ON_DAY for row in actual),
                "It trains on payments that happen after the training. Random splits, and splits by share, do this: "
                "split by time instead.",
            ),
            (
                lambda actual: 0 < len(actual) < len(before) and set(actual) < set(before),
                "Payments of the first days are missing. The training window has no start: use all history.",
            ),
        ],
    )


def test_test_window(answer):
    call = f"honest_split: payments on days {_days(WINDOWS)}, trained_at = day {TRAINED_ON_DAY}"
    _, test = _split(answer, call, WINDOWS)
    expect(
        f"{call}: positions in `test`",
        sorted(test),
        _positions(WINDOWS, lambda day: TRAINED_ON_DAY <= day < TEST_ENDS),
        f"Test on the {TEST_DAYS} days from day {TRAINED_ON_DAY} on.",
        mistakes=[
            (
                _positions(WINDOWS, lambda day: day >= TRAINED_ON_DAY),
                "The test has no end. It lasts `test_days` days; labels of later payments are not known yet.",
            ),
            (
                _positions(WINDOWS, lambda day: TEST_ENDS <= day < TEST_ENDS + TEST_DAYS),
                "The test begins a label delay too late. The gap lies before `trained_at`, not after it.",
            ),
            (
                lambda actual: any(WINDOWS[row] < DELAY_STARTS for row in actual),
                "It tests on payments that it was trained on. Split by time, not at random.",
            ),
            (
                lambda actual: any(WINDOWS[row] < TRAINED_ON_DAY for row in actual),
                "It tests on payments in the gap, from before the model was trained.",
            ),
        ],
    )


def test_ends_of_windows(answer):
    days = (
        DELAY_STARTS - 1 / DAY,
        DELAY_STARTS,
        TRAINED_ON_DAY - 1 / DAY,
        TRAINED_ON_DAY,
        TEST_ENDS - 1 / DAY,
        TEST_ENDS,
    )
    says = "13 less a second, 13, 20 less a second, 20, 27 less a second, 27"
    call = f"honest_split: payments on days {says}, trained_at = day {TRAINED_ON_DAY}"
    training, test = _split(answer, call, days)
    actual = {"training": sorted(training), "test": sorted(test)}
    expect(
        call,
        actual,
        {"training": [0], "test": [3, 4]},
        "Check the boundaries: each window includes its start and excludes its end.",
        mistakes=[
            (
                lambda actual: 3 in actual["training"] or (3 in actual["test"] and 2 in actual["test"]),
                "The second `trained_at` is in the wrong window: it is the first second of the test.",
            ),
            (
                lambda actual: 3 not in actual["test"],
                "The first second of the test is in no window. A window includes its start.",
            ),
            (
                lambda actual: 5 in actual["test"],
                "A boundary is counted twice. The test's last second is the one before day 27, which starts the next "
                "window.",
            ),
            (
                lambda actual: 1 in actual["training"],
                "It trains on the first second of the gap. Training ends before `trained_at - LABEL_DELAY`, so that "
                "days are not split.",
            ),
        ],
    )


def test_training_labels(answer):
    # When it occurred and when it was reported, in days.
    cases = ((2, None), (3, 10), (5, 19.5), (6, 20), (8, 24), (12, 13))
    occurred, reported = zip(*cases, strict=True)
    call = f"honest_split: payments on days {_days(occurred)}, reported on days {_days(reported)}, trained_at = day 20"
    training, _ = _split(answer, call, occurred, reported)
    expect(
        f"{call}: `training_frauds` by position",
        training,
        {0: False, 1: True, 2: True, 3: True, 4: False, 5: True},
        "A training label is True if the fraud is known at `trained_at`: occurred + delay and the report are both "
        "past.",
        mistakes=[
            (
                {0: False, 1: True, 2: True, 3: True, 4: True, 5: True},
                "It uses a label that became known only after training: the payment of day 8 was reported on day 24. "
                "On day 20 it counts as genuine.",
            ),
            (
                {0: False, 1: True, 2: True, 3: False, 4: False, 5: True},
                "A report at the second `trained_at` is known: known at t includes t.",
            ),
            (
                {0: False, 1: True, 2: False, 3: False, 4: False, 5: True},
                "Known frauds are missing. Read the labels at `trained_at`, not at the end of the training window.",
            ),
            (lambda actual: sum(actual.values()) == 4, MOVED),
        ],
    )


def test_test_labels(answer):
    cases = ((20.5, None), (20.5, 28), (22, 33.5), (24, 34), (25, 36), (26.5, 27))
    occurred, reported = zip(*cases, strict=True)
    call = f"honest_split: payments on days {_days(occurred)}, reported on days {_days(reported)}, trained_at = day 20"
    _, test = _split(answer, call, occurred, reported)
    expect(
        f"{call}: `test_frauds` by position",
        test,
        {0: False, 1: True, 2: True, 3: True, 4: False, 5: True},
        "The test's labels are those known one label delay after its last day: on day 34.",
        mistakes=[
            (
                lambda actual: not any(actual.values()),
                "The test has no known frauds. You read its labels too early: at `trained_at`, or at the test's end. "
                "Read them one label delay after its end.",
            ),
            (
                {0: False, 1: True, 2: True, 3: True, 4: True, 5: True},
                "It uses a report from after the evaluation: day 36 is past day 34.",
            ),
            (lambda actual: sum(actual.values()) == 4, MOVED),
        ],
    )


def test_any_order(answer):
    # Not in the order of time, and with the labels of both kinds in each window.
    cases = ((26, 27), (3, None), (21, 25), (12, 13), (28, 29), (24, None), (8, 9), (5, 24))
    occurred, reported = zip(*cases, strict=True)
    call = f"honest_split: payments on days {_days(occurred)}, reported on days {_days(reported)}, no test_days given"
    training, test = _split(answer, call, occurred, reported, test_days=None)
    actual = {"training": training, "test": test}
    right = {"training": {1: False, 3: True, 6: True, 7: False}, "test": {0: True, 2: True, 5: False}}
    placed = {name: sorted(window) == sorted(right[name]) for name, window in actual.items()}
    expect(
        f"{call}: labels by position",
        {name: dict(sorted(window.items())) for name, window in actual.items()},
        right,
        "Payments come in any order: positions refer to the arrays as given.",
        mistakes=[
            (
                lambda actual: all(placed.values()) and [sum(window.values()) for window in actual.values()] == [2, 2],
                MOVED,
            ),
            (
                lambda actual: [len(window) for window in actual.values()] == [4, 3],
                "The positions are those of sorted payments. Payments come in any order, and positions refer to the "
                "arrays as given: do not sort, or map the positions back.",
            ),
            (lambda _: placed["training"], "`test_days` defaults to 7, as in the stub."),
        ],
    )


def test_agrees_with_production(answer):
    for seed in (3, 4):
        start = date(2025, 1, 1) + timedelta(days=seed)
        world, reported, order = _world(seed, start)
        occurred = world.occurred[order]
        production = split_days(DayRange(start, start + timedelta(days=59)))
        # Of the pipeline's three windows, its validation is to its training what the test is here.
        expected = {
            "training": _labelled(occurred, reported, production.training, production.trained_at),
            "test": _labelled(occurred, reported, production.validation, production.validated_at),
        }
        days = len(production.validation.days())
        call = f"honest_split of {len(order):,} simulated payments, shuffled, test_days={days}"
        actual = dict(
            zip(expected, _called(answer, call, occurred, reported, production.trained_at, days), strict=True)
        )
        for name, wanted in expected.items():
            expect(
                f"{call}: payments in `{name}`",
                len(actual[name]),
                len(wanted),
                "modeling/data/split.py gives a different window. Payments come in any order, and `test_days` varies.",
            )
            expect(
                f"{call}: `{name}` and its labels",
                Description(f"{_differ(actual[name], wanted)} of {len(wanted):,} payments differ"),
                Description(f"0 of {len(wanted):,} payments differ"),
                "The pipeline's own split gives different labels. A label must stay with its payment, in any order of "
                "payments.",
            )


def _world(seed: int, start: date) -> tuple[Payments, np.ndarray, np.ndarray]:
    """A simulated bank, the payments' order, and their reports in that order: some immediate, some weeks late."""
    rng = np.random.default_rng(seed)
    (world,) = simulate(Simulation(customers=60, terminals=40, days=30, seed=seed, start=start + timedelta(days=12)))
    late = rng.choice([1, 5, 9, 20], len(world.occurred)) * DAY
    order = rng.permutation(len(world.occurred))
    return world, np.where(world.fraud, world.occurred + late, NEVER)[order], order


def _labelled(occurred: np.ndarray, reported: np.ndarray, window: DayRange, now: int) -> dict[int, bool]:
    inside = np.flatnonzero((occurred >= window.start_second) & (occurred < window.end_second))
    return dict(zip(inside.tolist(), known_at(occurred[inside], reported[inside], now).tolist(), strict=True))


def _differ(actual: dict[int, bool], wanted: dict[int, bool]) -> int:
    return sum(actual.get(row) != label for row, label in wanted.items())


def _split(answer, call, occurred, reported=None, test_days=TEST_DAYS) -> list[dict[int, bool]]:
    """The labels of both windows by position, of times in days."""
    reports = _seconds(reported or [None] * len(occurred))
    return _called(answer, call, _seconds(occurred), reports, _seconds([TRAINED_ON_DAY])[0], test_days)


def _called(answer, call, occurred, reported, trained_at, test_days) -> list[dict[int, bool]]:
    days = [] if test_days is None else [test_days]
    actual = answer.honest_split(occurred.copy(), reported.copy(), int(trained_at), *days)
    names = [field.name for field in fields(answer.HonestSplit)]
    missing = [name for name in names if not hasattr(actual, name)]
    wanted = Description("a HonestSplit with " + ", ".join(names))
    expect(call, actual, wanted, "Return a HonestSplit. Is there a `return`?", same=lambda *_: not missing)
    return [
        _read(call, name, getattr(actual, name), getattr(actual, f"{name}_frauds"), len(occurred))
        for name in ("training", "test")
    ]


def _read(call: str, name: str, rows, labels, payments: int) -> dict[int, bool]:
    """Labels by position; says what is wrong with arrays that are none."""
    refuse = partial(expect, same=lambda *_: False)
    at = _array(rows)
    if at.dtype == bool and at.shape == (payments,):
        # A mask says as much as positions.
        at = np.flatnonzero(at)
    if at.size == 0:
        at = at.astype(np.int64)
    _flat(f"{call}: `{name}`", at)
    good = at.ndim == 1 and at.dtype.kind in "iu" and len(set(at.tolist())) == len(at)
    if not good or not all(0 <= row < payments for row in at.tolist()):
        wanted = Description("whole numbers from 0 to n - 1, each once")
        refuse(f"{call}: `{name}`", rows, wanted, "Return positions in `occurred`, as np.flatnonzero does.")
    values = _array(labels)
    _flat(f"{call}: `{name}_frauds`", values)
    if values.shape != at.shape or not np.isin(values, [0, 1]).all():
        wanted = Description(f"{len(at)} of True and False")
        refuse(f"{call}: `{name}_frauds`", labels, wanted, f"Return one label for each payment in `{name}`.")
    return dict(zip(at.tolist(), values.astype(bool).tolist(), strict=True))


def _flat(call: str, values: np.ndarray) -> None:
    """Refuse a column or a row of two dimensions: it holds the right values in the wrong shape."""
    expect(
        call,
        Description(f"an array of shape {values.shape}"),
        Description(f"shape ({len(values) if values.ndim else 'k'},)"),
        "It has two dimensions. `np.argwhere` returns a column and `np.where` a tuple; `np.flatnonzero` returns a flat "
        "array, and `ravel()` flattens any array.",
        same=lambda *_: values.ndim != 2 or 1 not in values.shape,
    )


def _array(value) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(None)


def _seconds(days) -> np.ndarray:
    return np.array([NEVER if day is None else START + round(day * DAY) for day in days], dtype=np.int64)


def _positions(days, inside) -> list[int]:
    return [row for row, day in enumerate(days) if inside(day)]


def _days(days) -> str:
    return ", ".join("never" if day is None else f"{day:g}" for day in days)

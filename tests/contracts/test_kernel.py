"""The compiled kernel equals the NumPy reference to the bit: in batches, and from the bytes of the online state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import features, fraud_runs, habit, kernel, labels, online_state
from contracts.compiled import OUTSIDE, UNSORTED, load
from contracts.histories import Floats, Ints
from contracts.labels import DAY, LABEL_DELAY, NEVER
from contracts.online_state import pack_entries, pack_reported, pack_second
from contracts.zones import UTC, Zone, find_zone
from tests.contracts import reference_kernel as reference
from tests.test_imports import imported

START = 1_522_540_800
EDGES = [DAY, 7 * DAY, 8 * DAY, 14 * DAY, 30 * DAY, 37 * DAY]
ZONES = ["UTC", "Europe/London", "Australia/Lord_Howe"]
TAKES = {"customer_features": ("cents",), "terminal_features": ("cents", "reported")}
CONSTANTS: dict[str, object] = {
    "DAY": labels.DAY,
    "LABEL_DELAY": labels.LABEL_DELAY,
    "NEVER": labels.NEVER,
    "LAST_NIGHT_HOUR": features.LAST_NIGHT_HOUR,
    "FIRST_WEEKDAY": reference.FIRST_WEEKDAY,
    "CUSTOMER_HORIZON": features.CUSTOMER_HORIZON_DAYS * DAY,
    "TERMINAL_HORIZON": features.TERMINAL_HORIZON_DAYS * DAY,
    "HABIT_PAYMENTS": habit.HABIT_PAYMENTS,
    "HABIT_DAYS": habit.HABIT_DAYS,
    "NO_SUCH_DAYS": fraud_runs.NO_SUCH_DAYS,
    "CENTS_BITS": online_state.CENTS_BITS,
    "NOT_REPORTED": online_state.NOT_REPORTED,
    "N_FEATURES": len(features.FEATURES),
    "UNSORTED": UNSORTED,
    "OUTSIDE": OUTSIDE,
}
GROUPS = (
    features.PAYMENT_FEATURES,
    features.CUSTOMER_WINDOW_FEATURES,
    features.TERMINAL_WINDOW_FEATURES,
    habit.HABIT_FEATURES,
    fraud_runs.FRAUD_RUN_FEATURES,
)


@dataclass(frozen=True)
class World:
    """A history of several entities, and the rows asked of it."""

    entity: Ints
    occurred: Ints
    cents: Ints
    reported: Ints
    rows: Ints

    def found(self, name: str, module: Any) -> dict[str, Floats]:
        """The features by the kernel of a module."""
        values = [getattr(self, field) for field in TAKES[name]]
        found: dict[str, Floats] = getattr(module, name)(self.entity, self.occurred, *values, self.rows)
        return found


def spread(rng: np.random.Generator, size: int, density: int) -> Ints:
    """Seconds: evenly spread, around the edges of windows, and many the same."""
    even = rng.integers(0, 60 * DAY, size) // density * density
    edges = rng.choice(EDGES, size) * rng.integers(0, 3, size) + rng.integers(-1, 2, size)
    return START + np.where(rng.random(size) < 0.5, even, edges)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """From empty to some hundred payments; rows are all, some in order, or any in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.one_of(st.integers(0, 12), st.integers(0, 400)))
    entities = np.array(draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)), dtype=np.int64)
    entity, occurred = rng.choice(entities, size), spread(rng, size, draw(st.sampled_from([1, 3_600, DAY])))
    order = np.lexsort((occurred, entity))
    entity, occurred = entity[order], occurred[order]
    most = draw(st.sampled_from([3, 1_000, 100_000_000]))
    # Reports before, at and after the label delay, so that runs grow and merge while they are visible.
    after = rng.choice([0, 1, LABEL_DELAY - 1, LABEL_DELAY, LABEL_DELAY + 1, 9 * DAY, 20 * DAY, 60 * DAY], size)
    reported = np.where(rng.random(size) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), occurred + after, NEVER)
    some = np.flatnonzero(rng.random(size) < 0.3)
    rows = draw(st.sampled_from([np.arange(size), some, rng.permutation(np.concatenate([some, some]))]))
    return World(entity, occurred, rng.integers(0, most, size), reported, rows)


def same(found: dict[str, Floats], expected: dict[str, Floats]) -> None:
    assert list(found) == list(expected)
    for name, values in found.items():
        assert values.tobytes() == expected[name].tobytes(), name


@given(worlds())
@settings(max_examples=300)
def test_the_kernel_equals_the_reference_to_the_bit(world: World) -> None:
    for name in TAKES:
        same(world.found(name, features), world.found(name, reference))


@given(worlds(), st.sampled_from(ZONES))
@settings(max_examples=50)
def test_features_of_the_payment_equal_the_reference_in_any_zone(world: World, name: str) -> None:
    zone = find_zone(name)
    found = features.payment_features(world.occurred, world.cents, zone)
    same(found, reference.payment_features(world.occurred, world.cents, zone))


@given(worlds())
@settings(max_examples=25)
def test_uncompiled_the_kernel_reads_nothing_outside_its_arrays(world: World) -> None:
    """Compiled code checks no bounds; as Python it does, here also below 0."""
    arrays = [Strict(array) for array in (world.entity, world.occurred, world.cents, world.reported, world.rows)]
    entity, occurred, cents, reported, rows = arrays
    n = len(world.rows)
    for function, given_, widths in (
        (kernel.customer_into, (entity, occurred, cents, rows), (6, 10)),
        (kernel.terminal_into, (entity, occurred, cents, reported, rows), (6, 7)),
    ):
        found = [np.empty((width, n)) for width in widths]
        function(*given_, *found)
        compiled = [np.empty((width, n)) for width in widths]
        getattr(load(), function.__name__)(*(array.values for array in given_), *compiled)
        assert all(np.array_equal(one, other) for one, other in zip(found, compiled, strict=True))


class Strict:
    """An array without negative indices."""

    def __init__(self, values: Ints) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: int) -> int:
        assert 0 <= at < len(self.values), at
        return int(self.values[at])


def first_positions(world: World) -> Ints:
    """The first position of each entity."""
    return np.flatnonzero(np.append(True, world.entity[1:] != world.entity[:-1])[: len(world.entity)])


def floors_of(world: World) -> Ints:
    """The floor of each entity's history: some reach back to a payment's horizon, some do not."""
    first = first_positions(world)
    return np.maximum(world.occurred[first] - 5 * DAY * np.arange(len(first)), 0)


def packed(world: World, *, terminal: bool) -> list[bytes]:
    """Each entity's history as bytes of the online state; ids number all payments."""
    value = pack_reported(world.cents, world.reported) if terminal else world.cents
    entries = np.split(pack_entries(world.occurred, np.arange(len(value)), value), first_positions(world)[1:])
    return [
        pack_second(floor) + part.tobytes() for floor, part in zip(floors_of(world).tolist(), entries, strict=False)
    ]


def asked_of(world: World) -> Ints:
    """Each row's history, and its index there; shape (rows, 2)."""
    first = first_positions(world)
    slot = np.searchsorted(first, world.rows, side="right") - 1
    return np.stack([slot, world.rows - first[slot]], axis=1)


def online(world: World, zone: Zone = UTC) -> tuple[Floats, Any]:
    """The kernel's features of the world's rows, from bytes; one history as a customer's and as a terminal's."""
    histories = packed(world, terminal=False) + packed(world, terminal=True)
    starts = np.cumsum([0, *(len(history) // 8 for history in histories)], dtype=np.int64)
    of_customer = asked_of(world)
    of_terminal = of_customer + np.array([len(histories) // 2, 0])
    own = np.stack([world.occurred[world.rows], world.cents[world.rows]], axis=1)
    payments = np.concatenate([of_customer, of_terminal, own], axis=1)
    words = np.frombuffer(b"".join(histories), dtype=np.uint64)
    found: tuple[Floats, Any] = load().online(words, starts, payments, *zone.table)
    return found


@given(worlds(), st.sampled_from(ZONES))
@settings(max_examples=200)
def test_features_from_the_bytes_of_the_online_state_equal_the_batch(world: World, name: str) -> None:
    zone = find_zone(name)
    matrix, degraded = online(world, zone)
    expected = features.feature_matrix(
        features.payment_features(world.occurred[world.rows], world.cents[world.rows], zone)
        | world.found("customer_features", reference)
        | world.found("terminal_features", reference)
    )
    assert matrix.tobytes() == expected.tobytes()
    horizon = features.CUSTOMER_HORIZON_DAYS * DAY
    floors = floors_of(world)[asked_of(world)[:, 0]]
    assert degraded.tolist() == (floors > world.occurred[world.rows] - horizon).tolist()


def test_a_report_of_the_far_future_counts_as_none() -> None:
    """As `pack_reported` says: the value has no room for it."""
    far = np.array([START, START + 8 * DAY]), np.array([online_state.NOT_REPORTED - 1, online_state.NOT_REPORTED])
    world = World(np.zeros(2, np.int64), far[0], np.array([1, 2]), far[1], np.array([1]))
    matrix, _ = online(world)
    assert matrix[0, features.FEATURES.index("terminal_fraud_rate_7d")] == 0


def test_the_kernel_s_constants_are_the_contract_s() -> None:
    found = {name: getattr(kernel, name) for name in CONSTANTS}
    assert found == CONSTANTS
    assert habit.EXTREME == (5, 2)
    assert habit.RECENT_DAYS == (7, 14)
    assert features.WINDOW_DAYS == (1, 7, 30)
    assert fraud_runs.RUN_WINDOW_DAYS == 30


def test_every_feature_stands_in_the_kernel_in_capitals_at_its_place() -> None:
    for group in GROUPS:
        assert [getattr(kernel, name.upper()) for name in group] == list(range(len(group)))
    # `online` writes the groups next to one another.
    assert sum(GROUPS, ()) == features.FEATURES


def test_the_kernel_imports_nothing_of_the_project() -> None:
    """A cache of compiled code does not notice a change of another module."""
    assert kernel.__file__
    assert imported(Path(kernel.__file__).read_text()) == {"__future__", "heapq", "typing", "numpy", "numba"}


ONE = World(*(np.array([n]) for n in (1, START, 100, NEVER, 0)))


@pytest.mark.parametrize("rows", [[1], [-1], [0, 2**62]])
def test_rows_outside_of_the_history_are_rejected(rows: list[int]) -> None:
    with pytest.raises(ValueError, match="rows must be indices of the history, from 0 to 0"):
        features.customer_features(ONE.entity, ONE.occurred, ONE.cents, np.array(rows))
    with pytest.raises(ValueError, match="rows must be indices"):
        features.terminal_features(ONE.entity, ONE.occurred, ONE.cents, ONE.reported, np.array(rows))


@pytest.mark.parametrize(("entity", "occurred"), [([1, 0], [START, START]), ([0, 0], [START + 1, START])])
def test_an_unsorted_history_is_rejected(entity: list[int], occurred: list[int]) -> None:
    arrays = np.array(entity), np.array(occurred), np.array([1, 1])
    with pytest.raises(ValueError, match="sorted by entity and time"):
        features.customer_features(*arrays, np.array([1]))
    with pytest.raises(ValueError, match="sorted by entity and time"):
        features.terminal_features(*arrays, np.array([NEVER, NEVER]), np.array([1]))


def test_arrays_of_another_length_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"one length, not \[1, 1, 2\]"):
        features.customer_features(ONE.entity, ONE.occurred, np.array([1, 2]), ONE.rows)


@pytest.mark.parametrize("kind", [np.int32, np.uint64, np.float64])
def test_another_type_is_rejected_and_never_cast(kind: type) -> None:
    wrong = ONE.cents.astype(kind)
    for call in (
        lambda: features.payment_features(ONE.occurred, wrong),
        lambda: features.customer_features(ONE.entity, ONE.occurred, wrong, ONE.rows),
        lambda: features.terminal_features(ONE.entity, ONE.occurred, ONE.cents, wrong, ONE.rows),
    ):
        with pytest.raises(TypeError, match=f"one dimension, not {np.dtype(kind)} with 1"):
            call()
    with pytest.raises(TypeError):
        load().payment_into(ONE.occurred, wrong, *UTC.table, np.empty((3, 1)))


def test_a_slice_with_gaps_and_a_read_only_array_are_taken() -> None:
    every_other = np.arange(START, START + 8)[::2]
    cents = np.arange(4)
    cents.flags.writeable = False
    found = features.payment_features(every_other, cents)
    same(found, reference.payment_features(every_other, cents))


def test_a_terminal_of_many_frauds_with_late_reports_takes_linear_time() -> None:
    """Each payment's report comes at another second, and each run is as long as the history."""
    n = 200_000
    occurred = START + np.arange(n) * 10
    reported = occurred + 20 * DAY - np.arange(n) % 1_000
    world = World(np.zeros(n, np.int64), occurred, np.ones(n, np.int64), reported, np.arange(n))
    found = world.found("terminal_features", features)
    assert found["terminal_fraud_run_length"].max() > 100

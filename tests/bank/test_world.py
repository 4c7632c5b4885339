"""The simulated bank is like the published one, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from bank.world import LARGE_CENTS, Payments, WorldSize, simulate
from contracts.days import first_second
from contracts.labels import DAY

SMALL = WorldSize(customers=200, terminals=400, days=40, seed=7)


def whole(size: WorldSize) -> Payments:
    blocks = list(simulate(size))
    names = Payments.__dataclass_fields__
    return Payments(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})


@pytest.fixture(scope="module")
def default_world() -> Payments:
    return whole(WorldSize())


def test_the_same_seed_makes_the_same_world_and_another_another() -> None:
    one, same, other = whole(SMALL), whole(SMALL), whole(WorldSize(200, 400, 40, seed=8))
    assert all(np.array_equal(getattr(one, name), getattr(same, name)) for name in Payments.__dataclass_fields__)
    assert not np.array_equal(one.cents[:100], other.cents[:100])


def test_ids_rise_with_time_and_stay_in_range() -> None:
    world = whole(SMALL)
    start = first_second(SMALL.start)
    assert np.array_equal(world.transaction_id, np.arange(len(world.transaction_id)))
    assert np.all(np.diff(world.occurred) >= 0)
    assert np.all((world.occurred >= start) & (world.occurred < start + SMALL.days * DAY))
    assert np.all((world.customer_id >= 0) & (world.customer_id < SMALL.customers))
    assert np.all((world.terminal_id >= 0) & (world.terminal_id < SMALL.terminals))
    assert np.all((world.cents >= 0) & (world.cents <= 100_000_000))


def test_the_default_world_has_the_published_proportions(default_world: Payments) -> None:
    a_day = len(default_world.cents) / 120 / 1_000
    assert 1.7 < a_day < 2.1, "published: 1.9 payments a customer and day"
    assert 0.005 < default_world.fraud.mean() < 0.012, "published: 0.8 % frauds"
    assert 45 < default_world.cents.mean() / 100 < 60, "published: 53.6 on average"
    assert default_world.fraud[default_world.cents > LARGE_CENTS].all()


def test_frauds_gather_at_terminals_and_at_customers(default_world: Payments) -> None:
    small_frauds = default_world.fraud & (default_world.cents <= LARGE_CENTS)
    at_terminal = np.bincount(default_world.terminal_id[small_frauds])
    assert at_terminal.max() >= 10
    assert len(np.unique(default_world.terminal_id[small_frauds])) < 0.3 * small_frauds.sum()


@pytest.mark.parametrize("seed", range(5))
def test_a_small_world_has_frauds_nearly_every_week(seed: int) -> None:
    world = whole(WorldSize(customers=200, terminals=400, days=40, seed=seed))
    weeks = (world.occurred - world.occurred.min()) // (7 * DAY)
    assert all(world.fraud[weeks == week].sum() >= 3 for week in range(5))


def test_a_world_of_one_still_pays_somewhere() -> None:
    world = whole(WorldSize(customers=1, terminals=1, days=60, seed=1))
    assert set(world.terminal_id.tolist()) <= {0}

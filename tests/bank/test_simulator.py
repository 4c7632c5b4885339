"""The simulated bank is like the published one, at any size."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank.fraud_patterns import LARGE_CENTS
from bank.simulator import Payments, Simulation, simulate
from contracts.days import first_second
from contracts.labels import DAY
from contracts.transaction import FRAUD_PATTERNS, MAX_AMOUNT_CENTS

SMALL = Simulation(customers=200, terminals=400, days=40, seed=7)


def whole(size: Simulation) -> Payments:
    blocks = list(simulate(size))
    names = Payments.__dataclass_fields__
    return Payments(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})


@pytest.fixture(scope="module")
def default_world() -> Payments:
    return whole(Simulation())


def test_the_seed_determines_the_simulation() -> None:
    one, same, other = whole(SMALL), whole(SMALL), whole(Simulation(200, 400, 40, seed=8))
    assert all(np.array_equal(getattr(one, name), getattr(same, name)) for name in Payments.__dataclass_fields__)
    assert not np.array_equal(one.cents[:100], other.cents[:100])


COLUMNS = {
    "transaction_id": "<i8",
    "customer_id": "<i8",
    "terminal_id": "<i8",
    "cents": "<i8",
    "occurred": "<i8",
    "fraud": "?",
}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (SMALL, "28fe793697936e8b6a5c60f482b8828b7f59c5b545a41128a5b699a02fb4e3e7"),
        (Simulation(), "caa499c60adb1fe4a702e1fe2bccd41be75778afda06a054536a231f81bc1c2c"),
    ],
)
def test_a_seed_gives_the_same_simulation_in_every_release(size: Simulation, expected: str) -> None:
    """Bit for bit: a bank with a part of a simulation must not receive the rest of a different one."""
    digest = hashlib.sha256()
    for block in simulate(size):
        for name, kind in COLUMNS.items():
            digest.update(getattr(block, name).astype(kind).tobytes())
    assert digest.hexdigest() == expected


def test_the_default_simulation_has_the_published_proportions(default_world: Payments) -> None:
    a_day = len(default_world.cents) / 120 / 1_000
    assert 1.7 < a_day < 2.1, "published: 1.9 payments a customer and day"
    assert 0.005 < default_world.fraud.mean() < 0.012, "published: 0.8 % frauds"
    assert 45 < default_world.cents.mean() / 100 < 60, "published: 53.6 on average"
    assert default_world.fraud[default_world.cents > LARGE_CENTS].all()


def test_frauds_cluster_at_terminals_and_customers(default_world: Payments) -> None:
    small_frauds = default_world.fraud & (default_world.cents <= LARGE_CENTS)
    at_terminal = np.bincount(default_world.terminal_id[small_frauds])
    assert at_terminal.max() >= 10
    assert len(np.unique(default_world.terminal_id[small_frauds])) < 0.3 * small_frauds.sum()


KINDS = {
    "large amounts": {"TERMINAL_COMPROMISED_DAYS": 0, "CUSTOMER_COMPROMISED_DAYS": 0},
    "terminals": {"LARGE_CENTS": 10**9, "CUSTOMER_COMPROMISED_DAYS": 0},
    "customers": {"LARGE_CENTS": 10**9, "TERMINAL_COMPROMISED_DAYS": 0},
}
"""What to switch off so that one pattern of fraud is left; the draws stay the same."""


def only(kind: str, size: Simulation, monkeypatch: pytest.MonkeyPatch) -> Payments:
    with monkeypatch.context() as patch:
        for name, value in KINDS[kind].items():
            patch.setattr(f"bank.fraud_patterns.{name}", value)
        return whole(size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_small_simulation_has_each_kind_of_fraud_in_most_weeks(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = only(kind, Simulation(customers=200, terminals=400, days=40, seed=seed), monkeypatch)
    weeks = np.unique((world.occurred[world.fraud] - first_second(SMALL.start)) // (7 * DAY))
    assert len(weeks) >= 4, "of six, the last of them five days"


def test_every_fraud_has_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [only(kind, SMALL, monkeypatch).fraud for kind in KINDS]
    assert np.array_equal(np.any(kinds, axis=0), whole(SMALL).fraud)


def test_each_fraud_has_the_last_pattern_that_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [only(kind, SMALL, monkeypatch).fraud for kind in KINDS]
    code = np.arange(1, 4)[:, None] * alone
    assert np.array_equal(whole(SMALL).pattern, code.max(axis=0))
    assert [FRAUD_PATTERNS[n] for n in (1, 2, 3)] == ["large amount", "compromised terminal", "compromised card"]
    assert (np.count_nonzero(code, axis=0) > 1).any(), "some are of two patterns"


def test_a_third_of_a_compromised_customer_s_payments_are_five_times_as_high(monkeypatch: pytest.MonkeyPatch) -> None:
    size = Simulation(customers=1000, terminals=2000, days=120, seed=5)
    stolen = only("customers", size, monkeypatch)
    monkeypatch.setattr("bank.fraud_patterns.CUSTOMER_AMOUNT_FACTOR", 1)
    genuine = only("customers", size, monkeypatch)
    assert np.array_equal(stolen.cents, np.where(stolen.fraud, 5 * genuine.cents, genuine.cents))
    monkeypatch.setattr("bank.fraud_patterns.CUSTOMER_FRAUD_SHARE", 1)
    exposed = only("customers", size, monkeypatch).fraud
    assert exposed[stolen.fraud].all()
    assert 0.28 < stolen.fraud.sum() / exposed.sum() < 0.39


def test_a_compromised_terminal_s_payments_are_all_fraud_for_four_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = only("terminals", Simulation(customers=300, terminals=100, days=90, seed=2), monkeypatch)
    day = world.occurred // DAY
    hit = np.unique(world.terminal_id[world.fraud])
    assert len(hit) > 5
    for terminal in hit:
        here = world.terminal_id == terminal
        days, of_fraud = np.unique(day[here]), np.unique(day[here & world.fraud])
        assert np.array_equal(np.unique(day[here & ~world.fraud]), np.setdiff1d(days, of_fraud)), "whole days"
    first = [day[(world.terminal_id == t) & world.fraud].min() for t in hit]
    last = [day[(world.terminal_id == t) & world.fraud].max() for t in hit]
    assert 24 <= np.median(np.array(last) - first) <= 28


def test_amounts_and_times_are_drawn_as_published(default_world: Payments) -> None:
    genuine = default_world.cents[~default_world.fraud] / 100
    by_customer = default_world.customer_id[~default_world.fraud]
    payments = np.bincount(by_customer, minlength=1000)
    mean = np.bincount(by_customer, genuine, 1000) / np.maximum(payments, 1)
    busy = payments > 100
    assert 4 < mean[busy].min() < 10, "uniform between 5 and 100"
    assert 90 < mean[busy].max() < 120
    assert 0 <= payments.min() < 10
    assert 3.5 * 120 < payments.max() < 4.5 * 120
    second = default_world.occurred % DAY
    assert abs(second.mean() - DAY / 2) < 300
    assert 18_000 < second.std() < 20_000, "20,000, without what falls outside the day"


def test_customers_pay_nearby(default_world: Payments) -> None:
    """In the published data 78 terminals are within reach on average; fewer at the square's edge."""
    pairs = np.unique(default_world.customer_id * 2000 + default_world.terminal_id)
    used = np.bincount(pairs // 2000)
    assert 50 < used[used > 0].mean() < 78


def test_the_block_size_does_not_change_the_simulation() -> None:
    blocks = list(simulate(Simulation(50, 100, 70, seed=1)))
    assert len(blocks) == 3
    assert max(block.occurred.max() for block in blocks[:1]) < blocks[1].occurred.min()


def test_a_single_customer_has_a_terminal() -> None:
    world = whole(Simulation(customers=1, terminals=1, days=60, seed=1))
    assert set(world.terminal_id.tolist()) == {0}


def test_other_parameters_are_another_source() -> None:
    names = {Simulation().name, Simulation(days=20).name, Simulation(seed=1).name, Simulation(terminals=1).name}
    assert len(names) == 4
    assert Simulation().name == Simulation().name


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 35), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_any_simulation_is_valid_under_the_contract(customers: int, terminals: int, days: int, seed: int) -> None:
    size = Simulation(customers, terminals, days, seed)
    world = whole(size)
    start = first_second(size.start)
    assert np.array_equal(world.transaction_id, np.arange(len(world.transaction_id)))
    assert np.all(np.diff(world.occurred) >= 0)
    assert np.all((world.occurred >= start) & (world.occurred < start + days * DAY))
    assert np.all((world.customer_id >= 0) & (world.customer_id < customers))
    assert np.all((world.terminal_id >= 0) & (world.terminal_id < terminals))
    assert np.all((world.cents >= 0) & (world.cents <= MAX_AMOUNT_CENTS))
    assert world.fraud[world.cents > LARGE_CENTS].all()

"""A simulated bank: customers, terminals and their payments; its frauds: `bank/fraud_patterns.py`.

A vectorised implementation of the simulator described in the Fraud Detection Handbook (chapter on the simulated data
set). Customers and terminals lie in a square of 100 by 100; a customer pays at nearby terminals, with its own
distribution of amounts and frequency of payments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bank.fraud_patterns import apply_patterns, compromised_customers, compromised_terminals
from contracts.days import first_second
from contracts.labels import DAY

SIDE: Final = 100.0
# As published, for 10,000 terminals.
RADIUS_AT: Final = (5.0, 10_000)
BLOCK_DAYS: Final = 30

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Simulation:
    """The parameters of a simulation; the same parameters give the same payments."""

    customers: int = 1_000
    terminals: int = 2_000
    days: int = 120
    seed: int = 0
    start: date = date(2025, 1, 1)

    @property
    def name(self) -> str:
        """The `source` of its rows in the bank."""
        return f"world:{self.customers}c-{self.terminals}t-{self.days}d-seed{self.seed}-from-{self.start}"


@dataclass(frozen=True)
class Payments:
    """A block of payments in order of time, arrays of shape (n,); `occurred` in seconds since 1970."""

    transaction_id: Ints
    customer_id: Ints
    terminal_id: Ints
    cents: Ints
    occurred: Ints
    pattern: Ints
    """The code of each fraud in `FRAUD_PATTERNS`; 0 for a genuine payment."""

    @property
    def fraud(self) -> NDArray[np.bool_]:
        """Whether each payment is a fraud, shape (n,)."""
        return np.not_equal(self.pattern, 0)


@dataclass(frozen=True)
class _Bank:
    mean_amount: Floats
    daily_payments: Floats
    near: Ints
    """The terminals near each customer, concatenated over the customers."""
    near_start: Ints
    near_count: Ints
    bad_terminal: NDArray[np.bool_]
    """Shape (days, terminals)."""
    bad_customer: NDArray[np.bool_]


def simulate(simulation: Simulation) -> Iterator[Payments]:
    """The payments in order of time, in blocks of 30 days."""
    layout, *blocks = np.random.SeedSequence(simulation.seed).spawn(1 + -(-simulation.days // BLOCK_DAYS))
    bank = _open_bank(simulation, np.random.default_rng(layout))
    number = 0
    for block, sequence in enumerate(blocks):
        days = np.arange(block * BLOCK_DAYS, min((block + 1) * BLOCK_DAYS, simulation.days))
        payments = _pay(simulation, bank, days, number, np.random.default_rng(sequence))
        number += len(payments.transaction_id)
        yield payments


def _open_bank(simulation: Simulation, rng: np.random.Generator) -> _Bank:
    customers, terminals = (
        rng.uniform(0, SIDE, (simulation.customers, 2)),
        rng.uniform(0, SIDE, (simulation.terminals, 2)),
    )
    near, start, count = _terminals_near(customers, terminals)
    return _Bank(
        mean_amount=rng.uniform(5, 100, simulation.customers),
        daily_payments=rng.uniform(0, 4, simulation.customers),
        near=near,
        near_start=start,
        near_count=count,
        bad_terminal=compromised_terminals(simulation.days, simulation.terminals, rng),
        bad_customer=compromised_customers(simulation.days, simulation.customers, rng),
    )


def _terminals_near(customers: Floats, terminals: Floats) -> tuple[Ints, Ints, Ints]:
    # The radius grows as terminals get sparser, so that customers of small simulations have as many to choose from.
    radius, among = RADIUS_AT
    tree = cKDTree(terminals)
    found = tree.query_ball_point(customers, radius * np.sqrt(among / len(terminals)), return_sorted=True)
    nearest = tree.query(customers)[1]
    lists = [np.asarray(some or [one], dtype=np.int64) for some, one in zip(found, nearest, strict=True)]
    count = np.array([len(some) for some in lists], dtype=np.int64)
    return np.concatenate(lists), np.cumsum(count) - count, count


def _pay(simulation: Simulation, bank: _Bank, days: Ints, first_number: int, rng: np.random.Generator) -> Payments:
    each = rng.poisson(bank.daily_payments, (len(days), simulation.customers))
    customer = np.tile(np.arange(simulation.customers), len(days)).repeat(each.ravel())
    day = days.repeat(each.sum(axis=1))
    second = rng.normal(DAY / 2, 20_000, len(day))
    within = (second > 0) & (second < DAY)
    customer, day, whole_second = customer[within], day[within], second[within].astype(np.int64)
    order = np.lexsort((whole_second, day))
    customer, day, whole_second = customer[order], day[order], whole_second[order]
    choice = (rng.random(len(day)) * bank.near_count[customer]).astype(np.int64)
    terminal = bank.near[bank.near_start[customer] + choice]
    genuine = _amounts(bank, customer, rng)
    cents, pattern = apply_patterns(genuine, bank.bad_terminal[day, terminal], bank.bad_customer[day, customer], rng)
    return Payments(
        transaction_id=first_number + np.arange(len(day)),
        customer_id=customer,
        terminal_id=terminal,
        cents=cents,
        occurred=first_second(simulation.start) + day * DAY + whole_second,
        pattern=pattern,
    )


def _amounts(bank: _Bank, customer: Ints, rng: np.random.Generator) -> Ints:
    """Genuine amounts in cents, by each customer's own distribution."""
    mean = bank.mean_amount[customer]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    return np.round(amount * 100).astype(np.int64)

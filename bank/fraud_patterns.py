"""The simulator's three patterns of fraud: a large amount, a compromised terminal, a compromised customer's card.

Frauds are: every amount above 220; every payment at a compromised terminal, for 28 days; a third of the payments of a
compromised customer, for 14 days, with amounts five times as high. Source: the Fraud Detection Handbook, chapter on the
simulated data set.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.transaction import FRAUD_PATTERNS

LARGE_CENTS: Final = 22_000
TERMINAL_COMPROMISED_DAYS: Final = 28
CUSTOMER_COMPROMISED_DAYS: Final = 14
CUSTOMER_FRAUD_SHARE: Final = 1 / 3
CUSTOMER_AMOUNT_FACTOR: Final = 5
# As published, for 5,000 customers and 10,000 terminals: two terminals and three customers a day.
TERMINALS_A_DAY: Final = 2 / 10_000
CUSTOMERS_A_DAY: Final = 3 / 5_000
MIN_A_DAY: Final = 1 / 7
"""At least one terminal and one customer a week, so that small simulations have every pattern."""
MAX_CENTS: Final = 100_000_000

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def compromised_terminals(days: int, terminals: int, rng: np.random.Generator) -> Bools:
    """Whether each terminal is compromised on each day, shape (days, terminals)."""
    return _compromised(days, terminals, TERMINALS_A_DAY, TERMINAL_COMPROMISED_DAYS, rng)


def compromised_customers(days: int, customers: int, rng: np.random.Generator) -> Bools:
    """Whether each customer's card is compromised on each day, shape (days, customers)."""
    return _compromised(days, customers, CUSTOMERS_A_DAY, CUSTOMER_COMPROMISED_DAYS, rng)


def apply_patterns(
    cents: Ints, bad_terminal: Bools, bad_customer: Bools, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Turn some of n payments into frauds; returns all amounts in cents, and codes of `FRAUD_PATTERNS` (0: genuine).

    `bad_terminal` and `bad_customer` say for each payment whether its terminal or its customer's card is compromised.
    """
    stolen = bad_customer & (rng.random(len(cents)) < CUSTOMER_FRAUD_SHARE)
    pattern = np.zeros(len(cents), dtype=np.int64)
    # In the order of the codes: as published, later patterns overwrite earlier ones.
    for code, hit in zip(FRAUD_PATTERNS, (cents > LARGE_CENTS, bad_terminal, stolen), strict=True):
        pattern[hit] = code
    return np.minimum(np.where(stolen, cents * CUSTOMER_AMOUNT_FACTOR, cents), MAX_CENTS), pattern


def _compromised(days: int, entities: int, share: float, length: int, rng: np.random.Generator) -> Bools:
    rate = max(share * entities, MIN_A_DAY)
    bad = np.zeros((days, entities), dtype=bool)
    due = np.diff(np.floor(rate * np.arange(days + 1) + rng.uniform())).astype(int)
    for day in np.flatnonzero(due):
        chosen = rng.choice(entities, size=min(int(due[day]), entities), replace=False)
        bad[day : day + length, chosen] = True
    return bad

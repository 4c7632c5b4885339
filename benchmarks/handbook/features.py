"""Compute the features of all payments with the contract's kernel."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.handbook.data import Payments
from contracts.features import (
    BASE_FEATURES,
    FEATURES,
    customer_features,
    feature_matrix,
    payment_features,
    terminal_features,
)
from contracts.labels import LABEL_DELAY, NEVER

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BASE_COLUMNS: Final = np.array([FEATURES.index(name) for name in BASE_FEATURES])
"""The positions in `FEATURES` of the Handbook's 15 features, in its order, because trees break ties by it."""


def features_of(payments: Payments) -> Floats:
    """`FEATURES` of each payment, shape (n, len(FEATURES)). Frauds are reported one label delay after the payment."""
    reported = np.where(payments.fraud, payments.occurred + LABEL_DELAY, NEVER)
    by_customer, by_terminal = _order(payments, payments.customer_id), _order(payments, payments.terminal_id)
    rows = np.arange(len(payments))
    of_customers = customer_features(
        payments.customer_id[by_customer], payments.occurred[by_customer], payments.cents[by_customer], rows
    )
    of_terminals = terminal_features(
        payments.terminal_id[by_terminal],
        payments.occurred[by_terminal],
        payments.cents[by_terminal],
        reported[by_terminal],
        rows,
    )
    return feature_matrix(
        payment_features(payments.occurred, payments.cents)
        | _put_back(of_customers, by_customer)
        | _put_back(of_terminals, by_terminal)
    )


def _order(payments: Payments, entity: Ints) -> Ints:
    return np.lexsort((payments.transaction_id, payments.occurred, entity))


def _put_back(found: dict[str, Floats], order: Ints) -> dict[str, Floats]:
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return {name: values[back] for name, values in found.items()}

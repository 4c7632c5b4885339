"""The leak lab's payments, and the inflations that the check expects of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Final

import numpy as np
import pandas as pd

from bank.simulator import Payments, Simulation, simulate
from contracts.features import BASE_FEATURES, customer_features, payment_features, terminal_features
from contracts.labels import DAY, LABEL_DELAY, NEVER
from modeling.evaluation.ranking import Ranking
from modeling.models.boosting import fit_boosted_trees

FEATURES: Final = [*BASE_FEATURES, "customer_id", "terminal_id"]
NONE: Final = -1.0
"""The time since the previous payment, or until the next, if there is none."""
TEST_DAYS: Final = 14
TREES: Final[dict[str, Any]] = {
    "learning_rate": 0.1,
    "max_iter": 25,
    "max_leaf_nodes": 8,
    "early_stopping": False,
    "random_state": 0,
}


def split_in_time(payments: pd.DataFrame, trained_at: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test, with the label delay between them."""
    occurred = payments["occurred"]
    test = (occurred >= trained_at) & (occurred < trained_at + TEST_DAYS * DAY)
    return payments[occurred < trained_at - LABEL_DELAY], payments[test]


def thin_out(payments: pd.DataFrame) -> pd.DataFrame:
    """All frauds, and about a tenth of the genuine payments."""
    return payments[payments["fraud"] | (payments["transaction_id"] % 10 == 0)]


def times_between(payments: pd.DataFrame, in_time: bool = True, within_customers: bool = True) -> pd.DataFrame:
    """The times to each customer's payments before and after, by transaction_id, in seconds."""
    order = ["customer_id", "occurred", "transaction_id"] if in_time else ["customer_id"]
    table = payments.sort_values(order, kind="stable")
    occurred, customer = table["occurred"].to_numpy(), table["customer_id"].to_numpy()
    same = (customer[1:] == customer[:-1]) | (not within_customers)
    gap = np.where(same, np.diff(occurred), NONE).astype(float)
    columns = {"since_previous": np.append(NONE, gap), "until_next": np.append(gap, NONE)}
    return pd.DataFrame(columns, index=table["transaction_id"].to_numpy())


def few_payments() -> tuple[pd.DataFrame, int]:
    """Sixty payments of six customers, shuffled, and when a model is trained on them."""
    rng, n = np.random.default_rng(5), 60
    table = pd.DataFrame(rng.random((n, len(FEATURES))), columns=FEATURES)
    table["transaction_id"] = np.arange(n) + 100
    table["customer_id"] = rng.integers(1, 5, n)
    # Customer 5's last payment is in training, customer 6's in the test: neither has a next payment.
    table.loc[[8, 17], "customer_id"], table.loc[[25, 45], "customer_id"] = 5, 6
    table["occurred"] = 20_000 * DAY + np.sort(rng.integers(0, 50 * DAY, n))
    table["fraud"] = rng.random(n) < 0.2
    table["balance_after"] = np.round(rng.random(n) * 100, 2)
    return table.sample(frac=1, random_state=1), 20_030 * DAY


def average_precision(training: pd.DataFrame, test: pd.DataFrame, features: Sequence[str]) -> float:
    """The average precision of the pipeline's boosted trees, fitted on `training`, on `test`."""
    columns = list(features)
    frauds = training["fraud"].to_numpy(bool)
    model = fit_boosted_trees(training[columns].to_numpy(float), frauds, TREES, [0] * len(columns))
    margins = model.decision_function(test[columns].to_numpy(float))
    return Ranking.of(margins, test["fraud"].to_numpy(bool)).areas(np.ones(len(test), np.int64)).average_precision


@cache
def reference() -> dict[str, float]:
    """The four inflations on the simulated bank."""
    payments, trained_at = simulated_bank()
    times = times_between(payments).loc[payments["transaction_id"]]
    payments = payments.assign(**{name: times[name].to_numpy() for name in times})
    training, test = split_in_time(payments, trained_at)
    honest = average_precision(training, test, FEATURES)
    dealt = pd.concat([training, test]).sort_values("transaction_id").sample(frac=1, random_state=0)
    at_random = dealt.iloc[: len(training)], dealt.iloc[len(training) :]
    thin = thin_out(training)
    return {
        "random_split": average_precision(*at_random, FEATURES) - honest,
        "forward_shift": average_precision(training, test, [*FEATURES, "until_next"])
        - average_precision(training, test, [*FEATURES, "since_previous"]),
        "thinned_first": average_precision(thin, thin_out(test), FEATURES) - average_precision(thin, test, FEATURES),
        "balance_after": average_precision(training, test, [*FEATURES, "balance_after"]) - honest,
    }


@cache
def simulated_bank() -> tuple[pd.DataFrame, int]:
    """Twelve simulated weeks with the contract's features; a card is blocked for a week after each fraud.

    The balance is read at night: most accounts with a fraud are frozen by then, and show 0.
    """
    blocks = list(simulate(Simulation(customers=250, terminals=120, days=84, seed=5)))
    names = [one.name for one in fields(Payments)]
    table = pd.DataFrame({name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})
    table = table.assign(fraud=table["pattern"] > 0).sort_values(["customer_id", "occurred", "transaction_id"])
    table = table[_unblocked(table)].reset_index(drop=True)
    for name, values in _features(table).items():
        table[name] = values
    rng = np.random.default_rng(0)
    balance = np.round(rng.gamma(2, 600, len(table)), 2)
    table["balance_after"] = np.where(table["fraud"] & (rng.random(len(table)) < 0.8), 0.0, balance)
    trained_at = int(table["occurred"].min()) // DAY * DAY + 56 * DAY
    columns = ["transaction_id", "occurred", "fraud", "balance_after", *FEATURES]
    return table[columns].sample(frac=1, random_state=1).reset_index(drop=True), trained_at


def _unblocked(table: pd.DataFrame) -> list[bool]:
    until: dict[int, int] = {}
    kept = []
    for customer, occurred, fraud in zip(table["customer_id"], table["occurred"], table["fraud"], strict=True):
        kept.append(occurred >= until.get(customer, 0))
        if kept[-1] and fraud:
            until[customer] = occurred + 7 * DAY
    return kept


def _features(table: pd.DataFrame) -> dict[str, Any]:
    """The 15 base features, by the contract's kernel; `table` is sorted by customer and time."""
    arrays = {
        name: table[name].to_numpy() for name in ("transaction_id", "customer_id", "terminal_id", "occurred", "cents")
    }
    occurred, cents, rows = arrays["occurred"], arrays["cents"], np.arange(len(table))
    found = payment_features(occurred, cents) | customer_features(arrays["customer_id"], occurred, cents, rows)
    order = np.lexsort((arrays["transaction_id"], occurred, arrays["terminal_id"]))
    reported = np.where(table["fraud"], occurred + LABEL_DELAY, NEVER)[order]
    position = np.argsort(order)
    by_terminal = terminal_features(arrays["terminal_id"][order], occurred[order], cents[order], reported, rows)
    found |= {name: values[position] for name, values in by_terminal.items()}
    return {name: found[name] for name in BASE_FEATURES}

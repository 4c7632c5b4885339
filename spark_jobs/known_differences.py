"""Differences between the decision log and the lake that have a known cause: repeated ids, and rows that landed late.

A repeated id: the scorer decided a row that the lake quarantined, since the lake has the id from a row that the scorer
was never asked about (`contracts/repeated_ids.py`). A late row: the lake has a payment that the scorer never got, and
that arrived after its day. Both change the features of payments after them on one side only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.late_payments import may_depend_on

Table = Mapping[str, NDArray[Any]]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PAYMENT: Final = ("transaction_id", "customer_id", "terminal_id", "occurred", "cents")
"""What tells rows of one id apart."""


@dataclass(frozen=True)
class Causes:
    """What may differ rightly. Tables have `PAYMENT`; `elsewhere` are the ids of decisions on other days.

    `quarantined` are the lake's rows of repeated ids, `kept` the payments that it has of the same ids, and `unscored`
    payments that arrived after their day and have no decision.
    """

    quarantined: Table
    kept: Table
    elsewhere: Ints
    unscored: Table


def nothing() -> Table:
    """A table without payments."""
    return {name: np.empty(0, dtype=np.int64) for name in PAYMENT}


NO_CAUSES: Final = Causes(nothing(), nothing(), np.empty(0, dtype=np.int64), nothing())


def of_another_row(decided: Table, causes: Causes) -> Bools:
    """Whether each decision is on a row that the lake quarantined as a repeat, and not as an equal one; shape (n,)."""
    found = np.isin(decided["transaction_id"], causes.quarantined["transaction_id"])
    quarantined, kept = set(payments(causes.quarantined)), set(payments(causes.kept))
    at = np.flatnonzero(found)
    odd = [one in quarantined and one not in kept for one in payments(rows_at(decided, at))]
    found[at] = np.array(odd, dtype=bool)
    return found


def payments(table: Table) -> list[tuple[int, ...]]:
    """The payments of a table, each as `PAYMENT`."""
    return list(zip(*(table[name].tolist() for name in PAYMENT), strict=True))


def rows_at(table: Table, at: Ints | Bools) -> Table:
    """Some rows of a table of payments."""
    return {name: table[name][at] for name in PAYMENT}


def after_repeats(decided: Table, rows: Ints, odd: Bools, kept: Table) -> Bools:
    """Whether the features of the decisions at `rows` may depend on a row of a repeated id that only one side has.

    The scorer has the `odd` decisions from their sequence number on. The lake has the payment that it keeps of their
    ids; reports of the id are for the one there and for the other online.
    """
    since = [(*one, int(decided["applied"][at])) for at, one in _located(decided, np.flatnonzero(odd))]
    others = np.flatnonzero(np.isin(kept["transaction_id"], decided["transaction_id"][odd]))
    return _after(decided, rows, [*since, *((*one, -1) for _, one in _located(kept, others))])


def after_late(decided: Table, rows: Ints, unscored: Table) -> Bools:
    """Whether the features of the decisions at `rows` may depend on a payment that the scorer never got."""
    at = np.arange(len(unscored["transaction_id"]))
    return _after(decided, rows, [(*one, -1) for _, one in _located(unscored, at)])


def _located(table: Table, at: Ints) -> list[tuple[int, tuple[int, int, int]]]:
    """Positions of payments, each with customer, terminal and second."""
    columns = (table[name][at].tolist() for name in ("customer_id", "terminal_id", "occurred"))
    return list(zip(at.tolist(), zip(*columns, strict=True), strict=True))


def _after(decided: Table, rows: Ints, others: Sequence[tuple[int, int, int, int]]) -> Bools:
    """Whether each may depend on one of `others`: customer, terminal, second, and the sequence number before it."""
    customer, terminal, occurred, applied = (
        decided[name][rows] for name in ("customer_id", "terminal_id", "occurred", "applied")
    )
    found = np.zeros(len(rows), dtype=bool)
    for *other, since in others:
        found |= may_depend_on(customer, terminal, occurred, (other[0], other[1], other[2])) & (applied > since)
    return found

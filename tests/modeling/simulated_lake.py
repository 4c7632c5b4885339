"""A small lake from the bank's simulator: `clean`, `reports` and `features`, as the jobs write them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bank.simulator import Simulation, simulate
from contracts.features import FEATURES, customer_features, payment_features, terminal_features
from contracts.labels import DAY, LABEL_DELAY, NEVER
from contracts.transaction import EPOCH

INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class World:
    """Payments in order of time, each array of shape (n,); seconds since 1970, cents."""

    transaction_id: np.ndarray
    customer_id: np.ndarray
    terminal_id: np.ndarray
    cents: np.ndarray
    occurred: np.ndarray
    fraud: np.ndarray


def simulated(size: Simulation) -> World:
    """A whole simulation."""
    blocks = list(simulate(size))
    return World(*(np.concatenate([getattr(one, field.name) for one in blocks]) for field in fields(World)))


def write_world(lake: Path, world: World, patterns: np.ndarray | None = None) -> None:
    """Write a world's lake; `patterns`, shape (n,), are named by the reports, if they are given."""
    instants = _instants(world.occurred)
    ids = {name: getattr(world, name) for name in ("transaction_id", "customer_id", "terminal_id")}
    clean = {**ids, "amount_cents": world.cents, "occurred_at": instants, "arrived_at": instants}
    _write(lake / "clean", world.occurred, clean)
    _write(lake / "features", world.occurred, {**ids, "occurred_at": instants, **features_of(world)})
    reported = world.occurred[world.fraud] + LABEL_DELAY
    reports = {"transaction_id": world.transaction_id[world.fraud], "reported_at": _instants(reported)}
    if patterns is not None:
        reports["pattern"] = patterns[world.fraud]
    # Reports after the last day are not in the lake yet.
    _write(lake / "reports", reported, reports, before=int(world.occurred.max()) // DAY * DAY + DAY)


def features_of(world: World) -> dict[str, np.ndarray]:
    """The features, computed by the contract's kernel."""
    reported = np.where(world.fraud, world.occurred + LABEL_DELAY, NEVER)
    found = payment_features(world.occurred, world.cents)
    by_customer = np.lexsort((world.transaction_id, world.occurred, world.customer_id))
    by_terminal = np.lexsort((world.transaction_id, world.occurred, world.terminal_id))
    rows = np.arange(len(world.occurred))
    customers = customer_features(
        world.customer_id[by_customer], world.occurred[by_customer], world.cents[by_customer], rows
    )
    terminals = terminal_features(
        world.terminal_id[by_terminal],
        world.occurred[by_terminal],
        world.cents[by_terminal],
        reported[by_terminal],
        rows,
    )
    for order, part in ((by_customer, customers), (by_terminal, terminals)):
        for name, values in part.items():
            found[name] = np.empty(len(rows))
            found[name][order] = values
    return {name: found[name] for name in FEATURES}


def _instants(seconds: np.ndarray) -> pa.Array:
    return pa.array(seconds * 1_000_000).cast(INSTANT)


def _write(table: Path, seconds: np.ndarray, columns: dict[str, object], before: int = NEVER) -> None:
    rows = pa.table(columns)
    for number in np.unique(seconds // DAY):
        if number * DAY >= before:
            continue
        day: date = EPOCH.date() + timedelta(days=int(number))
        (table / f"day={day}").mkdir(parents=True)
        pq.write_table(rows.filter(pa.array(seconds // DAY == number)), table / f"day={day}/part.parquet")

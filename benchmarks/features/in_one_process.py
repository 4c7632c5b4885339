"""The contract's kernel alone, in one process and thread: `python -m benchmarks.features.in_one_process --lake --out`.

It reads, sorts and computes all features as the job's tasks do, and writes only the days to compare: what the feature
job would take without Spark and without writing. Prints one line of JSON: the seconds of each stage.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.features.compare import sampled_days
from contracts.days import first_second
from contracts.features import FEATURES, customer_features, payment_features, terminal_features
from contracts.labels import DAY, NEVER

ROWS_AT_ONCE: Final = 150_000
Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]
Kernel = Callable[[Columns, Ints], Columns]
_IDS: Final = ("transaction_id", "customer_id", "terminal_id")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features.in_one_process", description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    started = time.perf_counter()
    history = read(options.lake)
    read_at = time.perf_counter()
    days = sampled_days(options.lake / "clean")
    seconds = [first_second(day) for day in days]
    chosen = np.isin(history["occurred"] // DAY * DAY, seconds)
    own = payment_features(history["occurred"], history["amount_cents"])
    kept = {name: values[chosen] for name, values in (history | own).items()}
    for entity, kernel in (("customer_id", _customers), ("terminal_id", _terminals)):
        kept |= computed(history, entity, kernel, chosen)
    done = time.perf_counter()
    for day, second in zip(days, seconds, strict=True):
        write(kept, second, options.out / f"features/day={day}")
    print(json.dumps({"read": round(read_at - started, 2), "compute": round(done - read_at, 2)}))


def read(lake: Path) -> Columns:
    """The payments, with the second of each one's earliest report."""
    rows = pa.concat_tables(_read(lake / "clean"))
    columns: Columns = {name: rows[name].to_numpy() for name in (*_IDS, "amount_cents")}
    columns["occurred"] = rows["occurred_at"].cast(pa.int64()).to_numpy() // 1_000_000
    reports = pa.concat_tables(_read(lake / "reports")).sort_by("transaction_id")
    numbers = reports["transaction_id"].to_numpy()
    at = np.minimum(np.searchsorted(numbers, columns["transaction_id"]), len(numbers) - 1)
    reported = reports["reported_at"].cast(pa.int64()).to_numpy()[at] // 1_000_000
    columns["reported"] = np.where(numbers[at] == columns["transaction_id"], reported, NEVER)
    return columns


def _read(table: Path) -> list[pa.Table]:
    return [pq.read_table(path, partitioning=None) for path in sorted(table.glob("day=*/part.parquet"))]


def computed(history: Columns, entity: str, kernel: Kernel, chosen: NDArray[np.bool_]) -> Columns:
    """The kernel's features of the chosen payments, in the history's order; all payments are computed."""
    order = np.lexsort((history["transaction_id"], history["occurred"], history[entity]))
    kept: list[Columns] = []
    for part in _parts(history[entity][order]):
        at = order[part]
        found = kernel({name: values[at] for name, values in history.items()}, np.arange(len(at)))
        kept.append({name: values[chosen[at]] for name, values in found.items()})
    places = np.argsort(order[chosen[order]])
    return {name: np.concatenate([part[name] for part in kept])[places] for name in kept[0]}


def _parts(entities: Ints) -> Iterator[slice]:
    """Parts of about `ROWS_AT_ONCE` rows with whole entities."""
    starts = np.concatenate(([0], np.flatnonzero(entities[1:] != entities[:-1]) + 1))
    ends = np.unique(starts[np.searchsorted(starts, np.arange(0, len(entities), ROWS_AT_ONCE))[1:] - 1])
    bounds = [0, *ends[ends > 0].tolist(), len(entities)]
    yield from (slice(*pair) for pair in pairwise(bounds))


def _customers(history: Columns, rows: Ints) -> Columns:
    return dict(customer_features(history["customer_id"], history["occurred"], history["amount_cents"], rows))


def _terminals(history: Columns, rows: Ints) -> Columns:
    terminal, occurred, cents = history["terminal_id"], history["occurred"], history["amount_cents"]
    return dict(terminal_features(terminal, occurred, cents, history["reported"], rows))


def write(kept: Columns, second: int, folder: Path) -> None:
    """Write one day's features."""
    mine = kept["occurred"] // DAY * DAY == second
    folder.mkdir(parents=True)
    pq.write_table(pa.table({name: kept[name][mine] for name in (*_IDS, *FEATURES)}), folder / "part.parquet")


if __name__ == "__main__":
    main()

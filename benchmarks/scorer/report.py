"""Compute ratios for each round and then their median, so that noise affects only one round."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.scorer.contenders import ALL_AT_ONCE, CONTENDERS, SCORE
from benchmarks.scorer.files import PAYMENTS_IN_A_BATCH


@dataclass(frozen=True)
class Measured:
    """The measurement of one contender in one round."""

    name: str
    clients: int
    round: int
    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def report(
    measured: Sequence[Measured], options: dict[str, Any], cores: dict[str, list[int]], generator: str = ""
) -> dict[str, Any]:
    """The medians of each contender and of the ratios of `POST /v1/score` to each other one, by number of clients."""
    by_clients: dict[str, Any] = {}
    for clients in sorted({one.clients for one in measured}):
        rows = {c.name: _of(measured, c.name, clients) for c in CONTENDERS}
        by_clients[str(clients)] = {name: _medians(found) for name, found in rows.items() if found} | {
            "score_to": {
                name: {
                    "requests_per_second": _ratio(rows[SCORE], found, "per_second"),
                    "p50": _ratio(rows[SCORE], found, "p50_ms"),
                    "p99": _ratio(rows[SCORE], found, "p99_ms"),
                }
                for name, found in rows.items()
                if found and name != SCORE
            }
        }
    batches = _of(measured, ALL_AT_ONCE.name, 1)
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "pinned": cores},
        "options": options,
        "load_generator": generator,
        "by_clients": by_clients,
        "batch": _medians(batches)
        | {"payments_per_second": round(median(one.per_second for one in batches) * PAYMENTS_IN_A_BATCH, 1)},
    }


def _of(measured: Sequence[Measured], name: str, clients: int) -> list[Measured]:
    return [one for one in measured if (one.name, one.clients) == (name, clients)]


def _medians(found: Sequence[Measured]) -> dict[str, float]:
    return {
        "requests_per_second": round(median(one.per_second for one in found), 1),
        "p50_ms": median(one.p50_ms for one in found),
        "p99_ms": median(one.p99_ms for one in found),
    }


def _ratio(ours: Sequence[Measured], others: Sequence[Measured], what: str) -> float:
    pairs = zip(ours, others, strict=True)
    found: float = median(getattr(mine, what) / getattr(theirs, what) for mine, theirs in pairs)
    return round(found, 3)


def show(results: dict[str, Any], console: Console) -> None:
    """Print the results as tables."""
    for clients, rows in results["by_clients"].items():
        table = Table(title=f"{clients} client{'s' * (clients != '1')}", title_justify="left")
        for name in ("", "requests/s", "p50 ms", "p99 ms", "rate ×", "p99 ×"):
            table.add_column(name, justify="right" if name else "left", no_wrap=True)
        for name, row in rows.items():
            if name == "score_to":
                continue
            to = rows["score_to"].get(name, {})
            cells = [row["requests_per_second"], row["p50_ms"], row["p99_ms"]]
            table.add_row(name, *map(str, cells), *(str(to.get(what, "")) for what in ("requests_per_second", "p99")))
        console.print(table)
    console.print(f"×: ratio of {SCORE} to this row, median of the rounds.")
    console.print(f"{ALL_AT_ONCE.name}: {results['batch']['payments_per_second']:,} payments/s")

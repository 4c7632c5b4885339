"""The demo's result, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Summary:
    """The figures of one demo, named as in `summary.json`.

    `frauds`, `frauds_caught` and `seconds` are only in the table.
    """

    transactions_loaded: int
    quarantined: int
    feature_rows: int
    model_version: str
    test_average_precision: float
    live_scored: int
    live_mismatches: int
    repeated_ids: int
    decisions: dict[str, int]
    latency_ms: dict[str, float]
    steps: list[dict[str, Any]]
    peak_memory_mb: float
    frauds: int
    frauds_caught: int
    seconds: float

    def write(self, path: Path) -> None:
        """Write the figures as JSON, atomically."""
        shown = {
            name: value for name, value in vars(self).items() if name not in ("frauds", "frauds_caught", "seconds")
        }
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(shown, indent=2) + "\n")
        fresh.replace(path)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(show_header=False, title="Result", title_justify="left")
        table.add_column(style="bold")
        table.add_column(justify="right")
        for name, value in self._rows():
            table.add_row(name, value)
        console.print(table)

    def _rows(self) -> list[tuple[str, str]]:
        decided = ", ".join(f"{number:,} {kind}" for kind, number in self.decisions.items())
        return [
            ("payments loaded", f"{self.transactions_loaded:,}"),
            ("quarantined", f"{self.quarantined:,}"),
            ("payments with features", f"{self.feature_rows:,}"),
            ("model version", self.model_version),
            ("average precision on the test week", f"{self.test_average_precision:.3f}"),
            ("live payments scored", f"{self.live_scored:,}"),
            ("decisions", decided),
            ("frauds caught (reviewed or declined)", f"{self.frauds_caught:,} of {self.frauds:,}"),
            ("latency, p50 / p99", f"{self.latency_ms['p50']:.1f} / {self.latency_ms['p99']:.1f} ms"),
            ("live payments whose features differ from Spark's", f"{self.live_mismatches:,}"),
            ("live payments affected by a repeated id", f"{self.repeated_ids:,}"),
            ("peak memory", f"{self.peak_memory_mb:,.0f} MB"),
            ("time", f"{self.seconds:.0f} s"),
        ]

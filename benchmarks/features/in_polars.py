"""The 15 published features in Polars: `python -m benchmarks.features.in_polars --lake --out`.

They assume what holds for the benchmark's data: every fraud is reported within the label delay. Payments of one entity
in the same second all count for each other, unlike ours. Prints one line of JSON: the seconds of each stage.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Final

import polars as pl

DELAY_DAYS: Final = 7
WINDOWS: Final = (1, 7, 30)
_AT: Final = "occurred_at"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features.in_polars", description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    started = time.perf_counter()
    rows = features(read(options.lake))
    computed = time.perf_counter()
    by_day = rows.with_columns(day=pl.col(_AT).dt.date()).sort(_AT, "transaction_id")
    by_day.write_parquet(options.out / "features", partition_by="day", compression="zstd", mkdir=True)
    written = time.perf_counter()
    print(json.dumps({"compute": round(computed - started, 2), "write": round(written - computed, 2)}))


def read(lake: Path) -> pl.DataFrame:
    """The payments with the column `fraud`, 0 or 1."""
    payments = pl.scan_parquet(f"{lake}/clean/*/*.parquet", hive_partitioning=False).drop("arrived_at")
    reports = pl.scan_parquet(f"{lake}/reports/*/*.parquet", hive_partitioning=False).select("transaction_id").unique()
    frauds = reports.with_columns(fraud=pl.lit(1, pl.Int64))
    joined = payments.join(frauds, on="transaction_id", how="left")
    return joined.with_columns(pl.col("fraud").fill_null(0)).collect()


def features(payments: pl.DataFrame) -> pl.DataFrame:
    """The payments with the 15 features."""
    rows = payments.sort("customer_id", _AT, "transaction_id")
    rows = rows.with_columns(*_payment(), *[column for days in WINDOWS for column in _customer(rows, days)])
    rows = rows.sort("terminal_id", _AT, "transaction_id")
    rows = rows.with_columns(*[column for days in WINDOWS for column in _terminal(rows, days)])
    return rows.drop("amount_cents", "fraud")


def _payment() -> list[pl.Expr]:
    at = pl.col(_AT)
    return [
        (pl.col("amount_cents") / 100).alias("amount"),
        (at.dt.weekday() >= 6).cast(pl.Float64).alias("is_weekend"),
        (at.dt.hour() <= 6).cast(pl.Float64).alias("is_night"),
    ]


def _customer(rows: pl.DataFrame, days: int) -> list[pl.Series]:
    """Counts and means over (t - days, t]; `rows` is sorted by customer and time, as the groups come out."""
    window = rows.rolling(_AT, period=f"{days}d", closed="right", group_by="customer_id")
    found = window.agg(pl.len().alias("count"), pl.col("amount_cents").sum().alias("sum"))
    mean = found["sum"] / (100 * found["count"].cast(pl.Int64))
    return [
        found["count"].cast(pl.Float64).alias(f"customer_tx_count_{days}d"),
        mean.alias(f"customer_amount_mean_{days}d"),
    ]


def _terminal(rows: pl.DataFrame, days: int) -> list[pl.Series]:
    """Counts and fraud rates over (t - delay - days, t - delay]; `rows` is sorted by terminal and time."""
    period, offset = f"{days}d", f"-{DELAY_DAYS + days}d"
    window = rows.rolling(_AT, period=period, offset=offset, closed="right", group_by="terminal_id")
    found = window.agg(pl.len().alias("count"), pl.col("fraud").sum().alias("frauds"))
    count = found["count"].cast(pl.Int64)
    rate = found["frauds"] / count.clip(1)
    return [count.cast(pl.Float64).alias(f"terminal_tx_count_{days}d"), rate.alias(f"terminal_fraud_rate_{days}d")]


if __name__ == "__main__":
    main()

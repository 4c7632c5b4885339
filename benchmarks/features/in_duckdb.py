"""The features as window functions of DuckDB: `python -m benchmarks.features.in_duckdb --lake --out [--windows]`.

The 15 published features, and with `--windows` 23: all that windows can say. They assume what holds for the benchmark's
data: every fraud is reported within the label delay. Payments of one entity in the same second all count for each
other, unlike ours. Prints one line of JSON: the seconds of each stage.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Final

import duckdb

DAY: Final = 86_400
DELAY: Final = 7 * DAY
WINDOWS: Final = (1, 7, 30)
PAYMENTS: Final = """
create view payments as
select transaction_id, customer_id, terminal_id, amount_cents, occurred_at,
    epoch_us(occurred_at) // 1000000 as occurred,
    transaction_id in (select transaction_id from read_parquet('{lake}/reports/*/*.parquet', hive_partitioning = false))
        as fraud
from read_parquet('{lake}/clean/*/*.parquet', hive_partitioning = false)
"""
FEATURES: Final = """
create table features as
select transaction_id, customer_id, terminal_id, occurred_at, amount_cents / 100 as amount,
    ((occurred // 86400 + 3) % 7 >= 5)::double as is_weekend, (occurred % 86400 // 3600 <= 6)::double as is_night,
    {columns}
from payments
window {windows}
"""
HABIT: Final = """
create view habits as
select *, least(64, count(*) over h30 - 1) as n30, least(64, count(*) over h14 - 1) as n14,
    least(64, count(*) over h7 - 1) as n7
from payments
window {windows}
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features.in_duckdb", description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--windows", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(options.out / "work.duckdb")) as connection:
        connection.execute(PAYMENTS.format(lake=options.lake))
        started = time.perf_counter()
        for statement in statements(more=options.windows):
            connection.execute(statement)
        computed = time.perf_counter()
        connection.execute(
            f"copy (select *, occurred_at::date as day from features order by occurred_at, transaction_id) "
            f"to '{options.out / 'features'}' (format parquet, compression zstd, partition_by (day))"
        )
    written = time.perf_counter()
    (options.out / "work.duckdb").unlink()
    print(json.dumps({"compute": round(computed - started, 2), "write": round(written - computed, 2)}))


def statements(*, more: bool) -> list[str]:
    """The statements that compute the features, in order."""
    columns, windows = [], []
    for days in WINDOWS:
        windows.append(_frame(f"c{days}", "customer_id", days * DAY - 1, "current row"))
        windows.append(_frame(f"t{days}", "terminal_id", DELAY + days * DAY - 1, f"{DELAY} preceding"))
        columns += [
            f"(count(*) over c{days})::double as customer_tx_count_{days}d",
            f"(sum(amount_cents) over c{days}) / (100 * count(*) over c{days}) as customer_amount_mean_{days}d",
            f"(count(*) over t{days})::double as terminal_tx_count_{days}d",
            f"coalesce(sum(fraud::int) over t{days}, 0) / greatest(count(*) over t{days}, 1)"
            f" as terminal_fraud_rate_{days}d",
        ]
    if not more:
        return [FEATURES.format(columns=", ".join(columns), windows=", ".join(windows))]
    habit = [_frame(f"h{days}", "customer_id", days * DAY - 1, "current row") for days in (7, 14, 30)]
    windows += [_last(f"l{days}", days) for days in (7, 14, 30)]
    with_habit = FEATURES.replace("from payments", "from habits")
    more_columns = ", ".join(columns + _more())
    return [HABIT.format(windows=", ".join(habit)), with_habit.format(columns=more_columns, windows=", ".join(windows))]


def _more() -> list[str]:
    """The features of habit and of fraud runs that a window can say."""
    median, mad = "coalesce(median(amount_cents) over l30, 0)", "coalesce(mad(amount_cents) over l30, 0)"
    columns = [
        f"{median} / 100 as customer_amount_median",
        f"{mad} / 100 as customer_amount_deviation",
        f"case when n30 > 0 then amount_cents / greatest({median}, 0.5) else 1 end as amount_to_median",
        f"case when n30 > 0 then 40 * (amount_cents - {median}) / greatest(40 * {mad}, 2 * {median}, 10) else 0 end"
        " as amount_deviations",
    ]
    columns += [
        f"coalesce(max(amount_cents) over l{days}, 0) / greatest({median}, 0.5) as customer_max_to_median_{days}d"
        for days in (7, 14)
    ]
    for name, which in (("fraud", "fraud"), ("genuine", "not fraud")):
        latest = f"max(occurred) filter ({which}) over t30"
        columns.append(f"coalesce((occurred - {latest}) / {DAY}, 37) as terminal_days_since_{name}")
    return columns


def _frame(name: str, entity: str, first: int, last: str) -> str:
    """A named window over an entity's payments, from `first` seconds before the payment to `last`."""
    return f"{name} as (partition by {entity} order by occurred range between {first} preceding and {last})"


def _last(name: str, days: int) -> str:
    """The customer's last payments before this one, as many as `habits` has counted."""
    rows = f"rows between n{days} preceding and 1 preceding"
    return f"{name} as (partition by customer_id order by occurred, transaction_id {rows})"


if __name__ == "__main__":
    main()

"""Write payments as a lake: `python -m benchmarks.features.prepare --rows N --lake FOLDER [--data FOLDER]`.

The published (or simulated) payments are repeated under other ids, with days unchanged; the last copy has only some of
its customers. Each fraud is reported one label delay after its payment, as the bank does for such sources. Prints one
line of JSON: `{"rows", "reports", "first", "last", "copies"}`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bank.errors import BankError
from bank.feed import Feed, SimulatedFeed
from bank.published_feed import PublishedFeed
from bank.simulator import Simulation
from benchmarks.handbook.data import Payments, read_payments
from benchmarks.handbook.errors import BenchmarkError
from contracts.labels import DAY, LABEL_DELAY
from contracts.transaction import from_epoch_seconds

CUSTOMERS: Final = 5_000
DAYS: Final = 183
ROWS_OF_A_CUSTOMER: Final = 350
"""About how many payments a simulated customer has in `DAYS` days, as in the published data."""
_INSTANT: Final = pa.timestamp("us", tz="UTC")
Columns = dict[str, NDArray[np.int64]]


def main() -> None:
    """The command; a user-fixable error ends it with one line on standard error and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features.prepare", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    try:
        payments, _ = read_payments(source(options.data, options.rows))
    except (BankError, BenchmarkError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    shutil.rmtree(options.lake, ignore_errors=True)
    print(json.dumps(write_lake(payments, options.rows, options.lake)))


def source(data: Path | None, rows: int) -> Feed:
    """The payments in `data`, or else simulated ones, as many as are needed at most."""
    if data is not None:
        return PublishedFeed(data, datetime.now(UTC))
    customers = min(CUSTOMERS, -(-rows // ROWS_OF_A_CUSTOMER))
    return SimulatedFeed(Simulation(customers=customers, terminals=2 * customers, days=DAYS))


def write_lake(payments: Payments, rows: int, lake: Path) -> dict[str, Any]:
    """Write about `rows` payments to `clean`, and the reports of their frauds to `reports`, day by day."""
    copies, part = divmod(rows, len(payments))
    shares = [1.0] * copies + [part / len(payments)] * (part > 0)
    written = reports = 0
    days = np.unique(payments.days).tolist()
    for day in days:
        copied = _day_of_copies(payments, day, shares)
        fraud = copied.pop("fraud").astype(bool)
        _write(lake, "clean", day, _clean(copied))
        frauds = {"transaction_id": copied["transaction_id"][fraud], "at": copied["occurred"][fraud] + LABEL_DELAY}
        _write(lake, "reports", day + LABEL_DELAY // DAY, _reports(frauds))
        written, reports = written + len(fraud), reports + int(fraud.sum())
    first, last = map(str, map(_date, (days[0], days[-1])))
    return {"rows": written, "reports": reports, "first": first, "last": last, "copies": round(sum(shares), 3)}


def _day_of_copies(payments: Payments, day: int, shares: list[float]) -> Columns:
    """All copies of a day's payments, in order of (occurred, transaction_id)."""
    bounds = np.searchsorted(payments.occurred, [day * DAY, (day + 1) * DAY])
    base = {name: getattr(payments, name)[slice(*bounds)] for name in payments.__dataclass_fields__}
    parts = list(_copies(base, payments, shares))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in base}
    order = np.lexsort((columns["transaction_id"], columns["occurred"]))
    return {name: values[order] for name, values in columns.items()}


def _copies(base: Columns, payments: Payments, shares: list[float]) -> Iterator[Columns]:
    ids = ("transaction_id", "customer_id", "terminal_id")
    widths = {name: int(getattr(payments, name).max()) + 1 for name in ids}
    for number, share in enumerate(shares):
        some = base["customer_id"] < share * widths["customer_id"]
        yield {name: values[some] + number * widths.get(name, 0) for name, values in base.items()}


def _clean(columns: Columns) -> pa.Table:
    instants = pa.array(columns["occurred"] * 1_000_000).cast(_INSTANT)
    return pa.table(
        {
            "transaction_id": columns["transaction_id"],
            "customer_id": columns["customer_id"],
            "terminal_id": columns["terminal_id"],
            "amount_cents": columns["cents"],
            "occurred_at": instants,
            "arrived_at": instants,
        }
    )


def _reports(frauds: Columns) -> pa.Table:
    order = np.argsort(frauds["transaction_id"])
    at = pa.array(frauds["at"][order] * 1_000_000).cast(_INSTANT)
    patterns = pa.nulls(len(order), pa.int64())
    return pa.table({"transaction_id": frauds["transaction_id"][order], "reported_at": at, "pattern": patterns})


def _write(lake: Path, table: str, day: int, rows: pa.Table) -> None:
    if rows.num_rows:
        path = lake / table / f"day={_date(day)}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(rows, path, compression="zstd", row_group_size=1 << 20)


def _date(day: int) -> date:
    return from_epoch_seconds(day * DAY).date()


if __name__ == "__main__":
    main()

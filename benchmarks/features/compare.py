"""Compare features with ours on a few days: `python -m benchmarks.features.compare --lake --theirs FOLDER`.

Prints one line of JSON: `{"features", "values", "different", "in_the_same_second"}`. The last counts differing values
of payments in the same second as another of their customer, whose order the other engines do not know. Values within
rounding are equal, because Polars divides by a constant by multiplying with its inverse.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.features import FEATURES

SAMPLED: Final = 3
ROUNDING: Final = 1e-14


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features.compare", description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--theirs", type=Path, required=True)
    options = parser.parse_args()
    total: Counter[str] = Counter()
    features = 0
    for day in sampled_days(options.lake / "clean"):
        ours = pq.read_table(options.lake / f"features/day={day}/part.parquet", partitioning=None)
        theirs = pq.read_table(options.theirs / f"features/day={day}", partitioning=None)
        found = differences(ours.sort_by("transaction_id"), theirs.sort_by("transaction_id"))
        features = found.pop("features")
        total.update(found)
    print(json.dumps({"features": features, **total}))


def sampled_days(table: Path) -> list[date]:
    """A day after a month, one in the middle and the last, as far as there are so many."""
    days = sorted(date.fromisoformat(path.name.removeprefix("day=")) for path in table.glob("day=*"))
    return sorted({days[min(37, len(days) - 1)], days[len(days) // 2], days[-1]})[-SAMPLED:]


def differences(ours: pa.Table, theirs: pa.Table) -> dict[str, int]:
    """How many of their values differ from ours; both sorted by id. Raises ValueError for other payments."""
    if not ours["transaction_id"].equals(theirs["transaction_id"]):
        raise ValueError(f"they have {theirs.num_rows} payments, not our {ours.num_rows}, or other ones")
    names = [name for name in FEATURES if name in theirs.column_names]
    tied = _tied(ours)
    wrong = [~_close(ours[name].to_numpy(), theirs[name].cast(pa.float64()).to_numpy()) for name in names]
    return {
        "features": len(names),
        "values": len(names) * ours.num_rows,
        "different": sum(int((one & ~tied).sum()) for one in wrong),
        "in_the_same_second": sum(int((one & tied).sum()) for one in wrong),
    }


def _close(ours: Any, theirs: Any) -> Any:
    return np.isclose(ours, theirs, rtol=ROUNDING, atol=0)


def _tied(rows: pa.Table) -> Any:
    """Whether each payment shares its second with another of its customer."""
    keys = np.stack([rows["customer_id"].to_numpy(), rows["occurred_at"].cast(pa.int64()).to_numpy()])
    _, inverse, count = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    return count[inverse.ravel()] > 1


if __name__ == "__main__":
    main()

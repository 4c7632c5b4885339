"""Compare decisions: compare the features that the scorer recorded with the lake's, payment by payment.

Decisions whose features differ rightly are counted separately: payments scored before a late payment arrived, and
degraded ones, scored without complete history.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.days import DayRange
from contracts.features import CUSTOMER_HORIZON_DAYS, FEATURES, TERMINAL_HORIZON_DAYS
from contracts.late_payments import touched_by_late
from contracts.transaction import from_epoch_seconds
from spark_jobs.io.postgres import connect
from spark_jobs.lake.layout import Lake
from spark_jobs.runner import run_command
from spark_jobs.settings import DECISIONS_READER, DECISIONS_SECRET, Settings, read_secret

JOB: Final = "compare_decisions"
TOLERANCE: Final = 1e-9
SHOWN: Final = 10
REACH_DAYS: Final = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS)
ORDER: Final = ("customer_id", "terminal_id", "occurred", "transaction_id", "applied")
Table = Mapping[str, NDArray[Any]]


def compare_decisions(settings: Settings, days: DayRange) -> dict[str, int]:
    """Compare the decisions on payments of these days with the lake; each payment of either is counted once.

    Prints the first differences. Raises `JobError`.
    """
    decided = read_decisions(settings, days)
    lake = read_features(Lake(settings.lake_root), days)
    counts, differing = compare(decided, lake, days.start_second)
    for line in differing[:SHOWN]:
        print(line, file=sys.stderr, flush=True)
    return counts


def compare(decided: Table, lake: Table, start: int) -> tuple[dict[str, int], list[str]]:
    """Count the decisions from second `start` on by the result of the comparison, and describe differences as lines.

    Both tables have `transaction_id` and `FEATURES`; `decided` also has `ORDER` and `degraded`, and begins one horizon
    before `start`, because a late payment affects payments after it.
    """
    touched = touched_by_late(*(decided[name] for name in ORDER))
    asked = np.flatnonzero(decided["occurred"] >= start)
    mine, theirs = _pairs(decided["transaction_id"][asked], lake["transaction_id"])
    unpaired = len(asked) + len(lake["transaction_id"]) - 2 * len(mine)
    mine = asked[mine]
    degraded = decided["degraded"][mine].astype(bool)
    late = touched[mine] & ~degraded
    plain = ~degraded & ~late
    differs = {name: ~_equal(decided[name][mine], lake[name][theirs]) & plain for name in FEATURES}
    wrong = np.logical_or.reduce(list(differs.values()))
    counts = {
        "compared": int(plain.sum()),
        "mismatches": int(wrong.sum()),
        "missing": unpaired,
        "touched_by_late": int(late.sum()),
        "degraded": int(degraded.sum()),
    }
    return counts, _descriptions(decided, lake, mine, theirs, differs)


def read_decisions(settings: Settings, days: DayRange) -> Table:
    """The recorded decisions on payments of these days and of the horizon before them, as arrays of one length."""
    reach = days.reaching_back(REACH_DAYS)
    password = read_secret(settings.secrets_dir, DECISIONS_SECRET)
    with connect(settings.decisions_url, DECISIONS_READER, password, "DECISIONS_URL") as cursor:
        cursor.execute(_query(reach))
        return _arrays(cursor.fetch_arrow_table())


def read_features(lake: Lake, days: DayRange) -> Table:
    """The lake's features of these days as arrays of one length."""
    columns = ["transaction_id", *FEATURES]
    files = [lake.file("features", day) for day in lake.days_within("features", days)]
    if not files:
        return {name: np.empty(0, dtype=np.int64 if name == columns[0] else np.float64) for name in columns}
    return _arrays(pa.concat_tables(pq.read_table(file, columns=columns, partitioning=None) for file in files))


def _query(days: DayRange) -> str:
    first, end = (from_epoch_seconds(second).isoformat() for second in (days.start_second, days.end_second))
    values = ", ".join(f"(features->>'{name}')::float8 as {name}" for name in FEATURES)
    return (
        "select transaction_id, customer_id, terminal_id, floor(extract(epoch from occurred_at))::bigint as occurred, "
        f"applied, degraded, {values} from serving.decisions "
        f"where occurred_at >= '{first}' and occurred_at < '{end}'"
    )


def _arrays(table: pa.Table) -> Table:
    return {name: table[name].to_numpy() for name in table.schema.names}


def _pairs(left: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of common ids in both arrays; ids are unique in each."""
    _, mine, theirs = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    return mine, theirs


def _equal(online: NDArray[Any], lake: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether values are equal within 1e-9, absolute or relative to the lake's; a missing value equals nothing."""
    tolerance = TOLERANCE * np.maximum(1.0, np.abs(lake))
    return np.asarray(np.abs(online - lake) <= tolerance)


def _descriptions(
    decided: Table,
    lake: Table,
    mine: NDArray[np.int64],
    theirs: NDArray[np.int64],
    differs: Mapping[str, NDArray[np.bool_]],
) -> list[str]:
    lines = []
    for name, wrong in differs.items():
        for n in np.flatnonzero(wrong)[:SHOWN]:
            payment, online, offline = (
                decided["transaction_id"][mine[n]],
                decided[name][mine[n]],
                lake[name][theirs[n]],
            )
            lines.append(f"payment {payment}: {name} is {online} in the decision and {offline} in the lake")
    return lines


if __name__ == "__main__":
    sys.exit(run_command(JOB, compare_decisions))

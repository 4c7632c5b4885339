"""Compare decisions: compare the features that the scorer recorded with the lake's, payment by payment.

Decisions whose features differ rightly are counted separately: payments scored before a late payment arrived,
degraded ones, scored without complete history, and those of repeated ids (`spark_jobs/known_differences.py`).
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
from spark_jobs import known_differences as known
from spark_jobs.io.postgres import connect
from spark_jobs.known_differences import NO_CAUSES, Bools, Causes, Ints, Table
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.payments import late_payments, payments_with_ids, repeated_rows
from spark_jobs.runner import run_command
from spark_jobs.settings import DECISIONS_READER, DECISIONS_SECRET, Settings, read_secret

JOB: Final = "compare_decisions"
TOLERANCE: Final = 1e-9
SHOWN: Final = 10
REACH_DAYS: Final = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS)
ORDER: Final = ("customer_id", "terminal_id", "occurred", "transaction_id", "applied")


def compare_decisions(settings: Settings, days: DayRange) -> dict[str, int]:
    """Compare the decisions on payments of these days with the lake; each payment of either is counted once.

    Prints the first differences. Raises `JobError`.
    """
    decided, lake = read_decisions(settings, days), Lake(settings.lake_root)
    features = read_features(lake, days)
    counts, differing = compare(decided, features, days.start_second)
    if counts["mismatches"] or counts["missing"]:
        causes = find_causes(settings, days, decided, features)
        counts, differing = compare(decided, features, days.start_second, causes)
    for line in differing[:SHOWN]:
        print(line, file=sys.stderr, flush=True)
    return counts


def compare(decided: Table, lake: Table, start: int, causes: Causes = NO_CAUSES) -> tuple[dict[str, int], list[str]]:
    """Count the decisions from second `start` on by the result of the comparison, and describe differences as lines.

    Both tables have `transaction_id` and `FEATURES`; `decided` also has `ORDER`, `degraded` and `cents`, and begins one
    horizon before `start`, because a late payment affects payments after it.
    """
    odd = known.of_another_row(decided, causes)
    touched = np.zeros(len(odd), dtype=bool)
    touched[~odd] = touched_by_late(*(decided[name][~odd] for name in ORDER))
    wanted = decided["occurred"] >= start
    asked = np.flatnonzero(wanted & ~odd)
    mine, theirs = _pairs(decided["transaction_id"][asked], lake["transaction_id"])
    unpaired = len(asked) + len(lake["transaction_id"]) - 2 * len(mine)
    kept_otherwise = _decided_otherwise(
        np.delete(lake["transaction_id"], theirs), decided["transaction_id"][odd], causes
    )
    mine = asked[mine]
    degraded = decided["degraded"][mine].astype(bool)
    late = touched[mine] & ~degraded
    differs = {name: ~_equal(decided[name][mine], lake[name][theirs]) & ~degraded & ~late for name in FEATURES}
    wrong = np.logical_or.reduce(list(differs.values()))
    after_repeats, after_late = _explained(decided, mine, wrong, odd, causes)
    explained = after_repeats | after_late
    repeated = np.union1d(decided["transaction_id"][wanted & odd], kept_otherwise)
    counts = {
        "compared": int((~degraded & ~late & ~explained).sum()),
        "mismatches": int((wrong & ~explained).sum()),
        "missing": unpaired - len(kept_otherwise),
        "touched_by_late": int(late.sum() + after_late.sum()),
        "degraded": int(degraded.sum()),
        "repeated_ids": len(repeated) + int(after_repeats.sum()),
    }
    return counts, _descriptions(decided, lake, mine, theirs, {n: one & ~explained for n, one in differs.items()})


def _decided_otherwise(left: Ints, odd: Ints, causes: Causes) -> Ints:
    """Those of the lake's payments without a decision whose id was decided from another row."""
    return np.intersect1d(left, np.concatenate((odd, causes.elsewhere)))


def _explained(decided: Table, mine: Ints, wrong: Bools, odd: Bools, causes: Causes) -> tuple[Bools, Bools]:
    """Whether each difference may come of a repeated id, and whether of a late row; of shape (len(mine),) both."""
    at = np.flatnonzero(wrong)
    repeats, late = np.zeros(len(mine), dtype=bool), np.zeros(len(mine), dtype=bool)
    repeats[at] = known.after_repeats(decided, mine[at], odd, causes.kept)
    late[at] = known.after_late(decided, mine[at], causes.unscored) & ~repeats[at]
    return repeats, late


def find_causes(settings: Settings, days: DayRange, decided: Table, features: Table) -> Causes:
    """What the lake and the decision log say of repeated ids and late rows; read only where something differs."""
    lake, reach = Lake(settings.lake_root), days.reaching_back(REACH_DAYS)
    quarantined = repeated_rows(lake)
    ids = quarantined["transaction_id"]
    left = np.setdiff1d(np.intersect1d(features["transaction_id"], ids), decided["transaction_id"])
    late = late_payments(lake, reach)
    scored = set(known.payments(decided))
    unscored = np.array([one not in scored for one in known.payments(late)], dtype=bool)
    return Causes(
        quarantined=quarantined,
        kept=payments_with_ids(lake, reach, np.intersect1d(ids, decided["transaction_id"])),
        elsewhere=read_ids(settings, left),
        unscored=known.rows_at(late, unscored),
    )


def read_decisions(settings: Settings, days: DayRange) -> Table:
    """The recorded decisions on payments of these days and of the horizon before them, as arrays of one length."""
    reach = days.reaching_back(REACH_DAYS)
    password = read_secret(settings.secrets_dir, DECISIONS_SECRET)
    with connect(settings.decisions_url, DECISIONS_READER, password, "DECISIONS_URL") as cursor:
        cursor.execute(_query(reach))
        return _arrays(cursor.fetch_arrow_table())


def read_ids(settings: Settings, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some payments' ids that have a decision, of any day."""
    if not len(ids):
        return np.empty(0, dtype=np.int64)
    password = read_secret(settings.secrets_dir, DECISIONS_SECRET)
    listed = ", ".join(map(str, ids.tolist()))
    with connect(settings.decisions_url, DECISIONS_READER, password, "DECISIONS_URL") as cursor:
        cursor.execute(f"select transaction_id from serving.decisions where transaction_id in ({listed})")
        return np.asarray(cursor.fetch_arrow_table()["transaction_id"].to_numpy(), dtype=np.int64)


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
        f"applied, degraded, coalesce((amount * 100)::bigint, -1) as cents, {values} from serving.decisions "
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

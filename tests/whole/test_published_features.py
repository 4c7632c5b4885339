"""The published payments through the line's own jobs: the 15 features equal the published ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.days import parse_day
from contracts.features import BASE_FEATURES
from tests.whole.line import ROOT, Line

PUBLISHED = Path(os.environ.get("HANDBOOK_DATA", ROOT.parent / "shared/data/handbook"))
DAYS = ("2018-05-15", "2018-07-25")
HISTORY_FROM = "2018-04-01"
NAMES = dict(
    zip(
        BASE_FEATURES,
        ["TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT"]
        + [f"CUSTOMER_ID_{what}_{days}DAY_WINDOW" for days in (1, 7, 30) for what in ("NB_TX", "AVG_AMOUNT")]
        + [f"TERMINAL_ID_{what}_{days}DAY_WINDOW" for days in (1, 7, 30) for what in ("NB_TX", "RISK")],
        strict=True,
    )
)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published data: {PUBLISHED} is absent (set HANDBOOK_DATA)")
@pytest.mark.timeout(600)
def test_the_fifteen_features_equal_the_published_ones(empty_line: Line, tmp_path: Path) -> None:
    server = empty_line.environment["BANK_URL"].rpartition("/")[0]
    line = empty_line.with_settings(
        LAKE_URI=str(tmp_path / "lake"),
        BANK_URL=f"{server}/published_bank",
        DECISIONS_URL=f"{server}/published_decisions",
    )
    line.run("bank.migrate")
    line.run("bank.load", "--data", str(PUBLISHED))
    first, last = parse_day(HISTORY_FROM), parse_day(DAYS[-1])
    line.spark("ingest", first, last)
    validated = line.spark("validate", first, last)
    assert validated["rows_quarantined"] == 0, validated["reasons"]
    line.spark("build_features", first, last)
    published = pq.read_table(next(PUBLISHED.glob("published_features_*.parquet")))
    for day in DAYS:
        ours = pq.read_table(tmp_path / f"lake/features/day={day}/part.parquet", partitioning=None)
        same_second = _in_one_second_with_another_of_their_customer(ours)
        theirs = published.filter(np.isin(published["TRANSACTION_ID"].to_numpy(), ours["transaction_id"].to_numpy()))
        order, other = (
            np.argsort(table[key].to_numpy()) for table, key in ((ours, "transaction_id"), (theirs, "TRANSACTION_ID"))
        )
        assert np.array_equal(ours["transaction_id"].to_numpy()[order], theirs["TRANSACTION_ID"].to_numpy()[other])
        assert len(order) > 9_000
        assert same_second.sum() <= 20
        for name, theirs_name in NAMES.items():
            difference = np.abs(ours[name].to_numpy()[order] - theirs[theirs_name].to_numpy().astype(float)[other])
            assert difference[~same_second[order]].max() < 1e-9, (day, name)


def _in_one_second_with_another_of_their_customer(table: object) -> np.ndarray:
    """The published windows are by time alone, so they order payments of one customer in one second at will."""
    pairs = np.column_stack([table["customer_id"].to_numpy(), table["occurred_at"].to_numpy().astype(np.int64)])  # type: ignore[index]
    _, inverse, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    found: np.ndarray = counts[inverse.ravel()] > 1
    return found

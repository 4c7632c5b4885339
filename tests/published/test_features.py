"""The published payments through the pipeline: its 15 features equal the published ones.

Uses the data of `make demo DATA=<published>`: `make test-published DATA=<published>`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.features import BASE_FEATURES

DEMO = Path(__file__).resolve().parents[2] / "var/demo"
DAYS = ("2018-05-15", "2018-07-25")
NAMES = dict(
    zip(
        BASE_FEATURES,
        ["TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT"]
        + [f"CUSTOMER_ID_{what}_{days}DAY_WINDOW" for days in (1, 7, 30) for what in ("NB_TX", "AVG_AMOUNT")]
        + [f"TERMINAL_ID_{what}_{days}DAY_WINDOW" for days in (1, 7, 30) for what in ("NB_TX", "RISK")],
        strict=True,
    )
)


@pytest.fixture(scope="module")
def published() -> pa.Table:
    """The published features of two days."""
    folder = Path(os.environ.get("DATA") or "/no folder: give make test-published DATA=")
    files = list(folder.glob("published_features_*.parquet"))
    assert files, f"{folder} has no published_features_*.parquet"
    return pq.read_table(files[0])


def test_every_published_payment_is_valid() -> None:
    summary = json.loads((DEMO / "summary.json").read_text())
    assert summary["transactions_loaded"] > 1_000_000, "run `make demo DATA=<published>` first"
    assert summary["quarantined"] == 0


@pytest.mark.parametrize("day", DAYS)
def test_the_fifteen_features_equal_the_published_ones(published: pa.Table, day: str) -> None:
    ours = pq.read_table(DEMO / f"lake/features/day={day}/part.parquet", partitioning=None)
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
        assert difference[~same_second[order]].max() < 1e-9, name


def _in_one_second_with_another_of_their_customer(table: object) -> np.ndarray:
    """The published windows use only the time, so the order within a customer's second is arbitrary."""
    pairs = np.column_stack([table["customer_id"].to_numpy(), table["occurred_at"].to_numpy().astype(np.int64)])  # type: ignore[index]
    _, inverse, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    found: np.ndarray = counts[inverse.ravel()] > 1
    return found

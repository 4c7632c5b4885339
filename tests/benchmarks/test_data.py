"""Payments in the published format become valid arrays for the protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bank.published_feed import PublishedFeed
from bank.simulator import Simulation
from benchmarks.handbook.__main__ import days_of
from benchmarks.handbook.data import Payments, read_payments
from benchmarks.handbook.errors import BenchmarkError
from benchmarks.handbook.features import BASE_COLUMNS, features_of
from contracts.features import BASE_FEATURES, FEATURES
from contracts.labels import DAY, LABEL_DELAY
from tests.bank.frames import frame
from tests.benchmarks.published_data import published_frame, write_published

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIMULATION = Simulation(customers=12, terminals=10, days=60, seed=5)


def read(folder: Path) -> tuple[Payments, int]:
    return read_payments(PublishedFeed(folder, NOW))


def test_files_in_any_order_are_read_in_order_of_time(tmp_path: Path) -> None:
    write_published(tmp_path, SIMULATION)
    payments, left_aside = read(tmp_path)
    expected = published_frame(SIMULATION).sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    assert left_aside == 0
    assert payments.transaction_id.tolist() == expected["TRANSACTION_ID"].tolist()
    assert payments.customer_id.tolist() == expected["CUSTOMER_ID"].tolist()
    assert payments.terminal_id.tolist() == expected["TERMINAL_ID"].tolist()
    assert payments.cents.tolist() == (expected["TX_AMOUNT"] * 100).round().astype(int).tolist()
    assert payments.fraud.tolist() == expected["TX_FRAUD"].astype(bool).tolist()
    assert np.all(np.diff(payments.occurred) >= 0)


def test_daily_pickles_are_read_like_parquet(tmp_path: Path) -> None:
    made = frame(4, 6)
    for day, rows in made.groupby(made["TX_DATETIME"].dt.date):
        rows.astype({"CUSTOMER_ID": str}).to_pickle(tmp_path / f"{day}.pkl", protocol=4)
    payments, _ = read(tmp_path)
    assert payments.customer_id.tolist() == made["CUSTOMER_ID"].tolist()
    assert payments.cents.dtype == np.int64
    assert payments.fraud.sum() == 1


def test_invalid_and_repeated_payments_are_dropped_and_counted(tmp_path: Path) -> None:
    bad = frame(5, 4).astype({"CUSTOMER_ID": "Int64"})
    bad.loc[2, "TX_DATETIME"] = pd.NaT
    bad.loc[3, "TX_AMOUNT"] = -1.0
    bad.loc[4, "CUSTOMER_ID"] = None
    bad.loc[5, "TX_DATETIME"] = pd.Timestamp("2099-01-01")
    bad.loc[6, "TX_AMOUNT"] = np.inf
    bad.loc[7, "TERMINAL_ID"] = -1
    bad.loc[8, "TX_AMOUNT"] = 1_000_000.01
    bad.loc[9, "TX_AMOUNT"] = np.nan
    bad.loc[11, "TRANSACTION_ID"] = 10
    bad.loc[12, "TX_AMOUNT"] = 1_000_000.0
    bad.loc[13, "TX_AMOUNT"] = 85.64999999999999
    bad.sample(frac=1, random_state=1).to_parquet(tmp_path / "payments.parquet")
    payments, left_aside = read(tmp_path)
    assert left_aside == 9
    assert payments.transaction_id.tolist() == [0, 1, 10, *range(12, 20)]
    assert payments.cents[3:5].tolist() == [100_000_000, 8_565]


def test_data_without_a_usable_payment_is_rejected(tmp_path: Path) -> None:
    frame().assign(TX_AMOUNT=-1.0).to_parquet(tmp_path / "payments.parquet")
    with pytest.raises(BenchmarkError, match="none of the 12 payments is valid"):
        read(tmp_path)


def test_each_payment_has_the_features_of_its_own_history(tmp_path: Path) -> None:
    write_published(tmp_path, SIMULATION)
    payments, _ = read(tmp_path)
    found = dict(zip(FEATURES, features_of(payments).T, strict=True))
    assert len(payments) > 1_000
    assert payments.fraud.any()
    for row in range(0, len(payments), 97):
        ago = payments.occurred[row] - payments.occurred
        customer = (payments.customer_id == payments.customer_id[row]) & (ago >= 0) & (ago < 7 * DAY)
        assert found["customer_tx_count_7d"][row] == customer.sum()
        assert found["customer_amount_mean_7d"][row] == pytest.approx(payments.cents[customer].mean() / 100)
        since = ago - LABEL_DELAY
        terminal = (payments.terminal_id == payments.terminal_id[row]) & (since >= 0) & (since < 30 * DAY)
        assert found["terminal_tx_count_30d"][row] == terminal.sum()
        assert found["terminal_fraud_rate_30d"][row] == pytest.approx(
            payments.fraud[terminal].mean() if terminal.any() else 0
        )
        assert found["amount"][row] == payments.cents[row] / 100


def test_the_contract_includes_the_15_published_features() -> None:
    assert len(BASE_FEATURES) == len(set(BASE_COLUMNS.tolist())) == 15
    assert [FEATURES[place] for place in BASE_COLUMNS] == list(BASE_FEATURES)


def test_a_stray_date_does_not_move_the_weeks(tmp_path: Path) -> None:
    usual = frame(50, 80)
    stray = usual.copy()
    stray.loc[0, "TX_DATETIME"] = pd.Timestamp("1970-01-01")
    stray.loc[len(usual) - 1, "TX_DATETIME"] = pd.Timestamp("2020-01-01")
    for name, rows in (("usual", usual), ("stray", stray)):
        (tmp_path / name).mkdir()
        rows.to_parquet(tmp_path / name / "payments.parquet")
    usually, straying = (days_of(read(tmp_path / name)[0]) for name in ("usual", "stray"))
    assert straying == usually

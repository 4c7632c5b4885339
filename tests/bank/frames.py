"""Small data frames in the published format."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import psycopg


def frame(days: int = 3, a_day: int = 4, start: str = "2018-04-01", first_id: int = 0) -> pd.DataFrame:
    """Payments spread evenly over some days; the second one is a fraud."""
    size = days * a_day
    return pd.DataFrame(
        {
            "TRANSACTION_ID": first_id + np.arange(size),
            "TX_DATETIME": pd.Timestamp(start) + pd.to_timedelta(np.arange(size) * 86_400 // a_day, unit="s"),
            "CUSTOMER_ID": np.arange(size) % 5,
            "TERMINAL_ID": np.arange(size) % 7,
            "TX_AMOUNT": np.round(np.linspace(0.01, 99.99, size), 2),
            "TX_FRAUD": (np.arange(size) == 1).astype(int),
            "TX_FRAUD_SCENARIO": 0,
        }
    )


def count(bank: psycopg.Connection, what: str = "count(*)", table: str = "transactions") -> Any:
    """The result of a query with one value."""
    row = bank.execute(f"select {what} from bank.{table}".encode()).fetchone()
    assert row is not None
    return row[0]

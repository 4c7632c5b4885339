"""Simulations as folders in the published format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bank.simulator import Simulation, simulate


def published_frame(size: Simulation, seed: int = 0) -> pd.DataFrame:
    """The simulation's payments, shuffled, with ids in another range."""
    parts = list(simulate(size))
    columns = {
        "TRANSACTION_ID": np.concatenate([part.transaction_id for part in parts]) + 5_000_000_000,
        "TX_DATETIME": np.concatenate([part.occurred for part in parts]).astype("datetime64[s]"),
        "CUSTOMER_ID": np.concatenate([part.customer_id for part in parts]) * 1_000_003,
        "TERMINAL_ID": np.concatenate([part.terminal_id for part in parts]) + 2**40,
        "TX_AMOUNT": np.concatenate([part.cents for part in parts]) / 100,
        "TX_FRAUD": np.concatenate([part.fraud for part in parts]).astype(int),
    }
    return pd.DataFrame(columns).sample(frac=1, random_state=seed).reset_index(drop=True)


def write_published(folder: Path, size: Simulation) -> None:
    """Write the simulation in two files, neither in order of time."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = published_frame(size)
    half = len(frame) // 2
    frame[:half].to_parquet(folder / "b.parquet")
    frame[half:].to_parquet(folder / "a.parquet")

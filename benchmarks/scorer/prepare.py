"""Write the request bodies and the champion's files: `python -m benchmarks.scorer.prepare --out FOLDER`.

The payments repeat those of the lake's last days after its end, one a second and with new ids, so that each customer
and terminal has a realistic history. The other servers, which look nothing up, get the features of these payments.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.scorer.files import BATCHES, FRAMES, MODEL, PAYMENTS, PAYMENTS_IN_A_BATCH, ROWS
from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.transaction import from_epoch_seconds
from modeling.data.lake import read_clean, read_features, whole_history
from modeling.errors import ModelingError
from modeling.runner import run
from modeling.settings import Settings
from modeling.tracking.mlflow_client import champion_version, download_model, registry

FIRST_ID: Final = 10**15
LAST_DAYS: Final = 3


def prepare(settings: Settings, folder: Path, count: int, batches: int) -> dict[str, Any]:
    """Write all files; returns the numbers of payments, batches and rows. Raises `ModelingError` without a champion."""
    folder.mkdir(parents=True, exist_ok=True)
    with registry(settings) as client:
        champion = champion_version(client, settings)
        if champion is None:
            raise ModelingError(f"there is no champion in {settings.mlflow_tracking_uri}: run `make demo` first")
        download_model(champion.source.removeprefix("models:/"), folder / MODEL)
    last = whole_history(settings.lake).last
    days = DayRange(last - timedelta(days=LAST_DAYS - 1), last)
    bodies = payments(read_clean(settings.lake, days), days.end_second, count + batches * PAYMENTS_IN_A_BATCH)
    _write(folder / PAYMENTS, bodies[:count])
    rest = [bodies[start : start + PAYMENTS_IN_A_BATCH] for start in range(count, len(bodies), PAYMENTS_IN_A_BATCH)]
    _write(folder / BATCHES, ({"transactions": part} for part in rest))
    rows = np.column_stack([read_features(settings.lake, days)[name].to_numpy() for name in FEATURES]).tolist()
    _write(folder / FRAMES, ({"dataframe_split": {"columns": list(FEATURES), "data": [row]}} for row in rows))
    _write(folder / ROWS, (dict(zip(FEATURES, row, strict=True)) for row in rows))
    return {"payments": count, "batches": batches, "rows": len(rows)}


def payments(clean: pa.Table, end_second: int, count: int) -> list[dict[str, Any]]:
    """`count` payments like those in `clean`, repeated as needed, one a second from `end_second` on."""
    customer, terminal, cents = (clean[name].to_numpy() for name in ("customer_id", "terminal_id", "amount_cents"))
    picked = np.random.default_rng(0).permutation(np.resize(np.arange(len(clean)), count))
    return [
        {
            "transaction_id": FIRST_ID + n,
            "customer_id": int(customer[row]),
            "terminal_id": int(terminal[row]),
            "amount": cents[row] / 100,
            "occurred_at": from_epoch_seconds(end_second + n).isoformat(),
        }
        for n, row in enumerate(picked.tolist())
    ]


def _write(path: Path, bodies: Iterable[Any]) -> None:
    path.write_text("".join(json.dumps(body) + "\n" for body in bodies))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorer.prepare", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--payments", type=int, default=500_000)
    parser.add_argument("--batches", type=int, default=600)
    given = parser.parse_args()
    print(json.dumps(prepare(Settings(), given.out, given.payments, given.batches)))


if __name__ == "__main__":
    run(main)

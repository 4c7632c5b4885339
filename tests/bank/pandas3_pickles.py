"""Make `pandas3_pickles.json`: small frames in the published format, pickled by pandas 3.

The pipeline has pandas 2, so the pickles are kept as text. To make them again:

    python3.11 -m venv /tmp/pandas3 && /tmp/pandas3/bin/pip install 'pandas==3.*' pyarrow
    /tmp/pandas3/bin/python -m tests.bank.pandas3_pickles
"""

from __future__ import annotations

import base64
import gzip
import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

FILE: Final = Path(__file__).with_suffix(".json")


def frames() -> dict[str, pd.DataFrame]:
    """Four payments in every way that pandas 3 stores a column; all stand for the same payments."""
    plain = pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(4),
            "TX_DATETIME": pd.Timestamp("2018-04-01") + pd.to_timedelta(np.arange(4) * 6, unit="h"),
            "CUSTOMER_ID": np.arange(4) % 3,
            "TERMINAL_ID": np.arange(4) + 7,
            "TX_AMOUNT": [0.01, 12.34, 57.16, 99.99],
            "TX_FRAUD": [0, 1, 0, 0],
        }
    )
    text = plain["CUSTOMER_ID"].astype(str)
    times = plain["TX_DATETIME"]
    return {
        "plain": plain,
        "text": plain.assign(CUSTOMER_ID=text.astype("str")),
        "text of Python": plain.assign(CUSTOMER_ID=text.astype(pd.StringDtype("python", na_value=np.nan))),
        "text with NA": plain.assign(CUSTOMER_ID=text.astype("string")),
        "text with NA of Python": plain.assign(CUSTOMER_ID=text.astype("string[python]")),
        "objects": plain.assign(CUSTOMER_ID=plain["CUSTOMER_ID"].astype(object), TERMINAL_ID=[7, 8, 9, 10]),
        "zone": plain.assign(TX_DATETIME=times.dt.tz_localize("UTC").dt.tz_convert("Europe/Paris")),
        "zone UTC": plain.assign(TX_DATETIME=times.dt.tz_localize("UTC")),
        "zone of an offset": plain.assign(TX_DATETIME=times.dt.tz_localize("UTC").dt.tz_convert("+05:30")),
        "nanoseconds": plain.assign(TX_DATETIME=times.dt.as_unit("ns")),
        "seconds": plain.assign(TX_DATETIME=times.dt.as_unit("s")),
        "nullable": plain.astype({"CUSTOMER_ID": "Int64", "TX_AMOUNT": "Float64", "TX_FRAUD": "boolean"}),
        "categories": plain.assign(
            CUSTOMER_ID=text.astype("category"), TERMINAL_ID=plain["TERMINAL_ID"].astype("category")
        ),
        "decimals": plain.assign(TX_AMOUNT=[Decimal(f"{amount:.2f}") for amount in plain["TX_AMOUNT"]]),
        "Arrow": plain.astype(
            {
                "CUSTOMER_ID": pd.ArrowDtype(pa.int32()),
                "TERMINAL_ID": pd.ArrowDtype(pa.string()),
                "TX_AMOUNT": pd.ArrowDtype(pa.decimal128(12, 2)),
                "TX_FRAUD": pd.ArrowDtype(pa.bool_()),
                "TX_DATETIME": pd.ArrowDtype(pa.timestamp("ns", "UTC")),
            }
        ),
        "index of ids": plain.set_index("TRANSACTION_ID"),
        "index of times": plain.set_index("TX_DATETIME"),
        "index of both": plain.set_index(["TRANSACTION_ID", "TX_DATETIME"]),
        "other index": plain.set_index(pd.date_range("2018-04-01", periods=4, freq="6h", name="when")),
    }


def main() -> None:
    """Write the file."""
    made = {name: gzip.compress(pickle.dumps(frame, protocol=5), mtime=0) for name, frame in frames().items()}
    made["protocol 2"] = gzip.compress(pickle.dumps(frames()["text"], protocol=2), mtime=0)
    made["an empty day"] = gzip.compress(pickle.dumps(frames()["text"].iloc[:0], protocol=5), mtime=0)
    FILE.write_text(
        json.dumps({name: base64.b64encode(content).decode() for name, content in made.items()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()

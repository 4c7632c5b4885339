"""Write a day as a Parquet partition, atomically."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FILE = "part.parquet"
"""The name of a partition's single file."""


def write_partition(rows: pa.Table, table: Path, day: date) -> None:
    """Write `rows` as the partition `<table>/day=YYYY-MM-DD/part.parquet`, replacing what was there.

    A reader sees the old partition or the new one, never a partial or missing one, even if this process is killed.
    """
    # --- your work: begin
    raise NotImplementedError("your work goes here")
    # --- your work: end

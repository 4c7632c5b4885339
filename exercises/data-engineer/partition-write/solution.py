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
    target = table / f"day={day}" / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within a file system; hidden, so that readers ignore it.
    staged = target.with_name(f".{FILE}.staged")
    pq.write_table(rows, staged)
    staged.replace(target)
    # --- your work: end

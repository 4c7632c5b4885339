"""Write a day as a partition of Parquet that is there whole, old or new, whatever happens."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FILE = "part.parquet"
"""The name of the one file of a partition."""


def write_partition(rows: pa.Table, table: Path, day: date) -> None:
    """Write `rows` as the partition `<table>/day=YYYY-MM-DD/part.parquet`, in place of what was there.

    A reader sees the old partition or the new one, never half or none; also where this process is killed.
    """
    # --- your work: begin
    target = table / f"day={day}" / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, for a rename is one step only within a file system; hidden, for readers take what they find.
    staged = target.with_name(f".{FILE}.staged")
    pq.write_table(rows, staged)
    staged.replace(target)
    # --- your work: end

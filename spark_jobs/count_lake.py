"""Count lake: the number of rows of each table in a range of days, from the files' footers."""

from __future__ import annotations

import sys
from typing import Final

from contracts.days import DayRange
from spark_jobs.lake.layout import Lake
from spark_jobs.runner import run_command
from spark_jobs.settings import Settings

COUNTED: Final = ("raw", "clean", "quarantine", "features")


def count_lake(settings: Settings, days: DayRange) -> dict[str, int]:
    """The number of rows by table. Raises `JobError` for a damaged file."""
    lake = Lake(settings.lake_root)
    return {table: sum(lake.rows(table, lake.days_within(table, days)).values()) for table in COUNTED}


if __name__ == "__main__":
    sys.exit(run_command("count_lake", count_lake))

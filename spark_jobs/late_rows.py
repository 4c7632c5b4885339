"""Late rows: find the days with rows that landed after ingest read them, and the days that depend on those.

Landed rows are never changed, so a day whose number of rows in the bank is not the lake's has rows that the lake lacks.
A day that was never ingested counts too, if it is between days that were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from contracts.days import DayRange
from contracts.late_payments import days_depending_on
from spark_jobs.lake.layout import Lake

Counts = Mapping[date, int]


def span_of(lake: Lake, tables: Iterable[str], days: DayRange) -> DayRange:
    """The days to count: from the first ingested one to the last, `days` included."""
    known = [days.first, days.last, *(day for table in tables for day in lake.days(table))]
    return DayRange(min(known), max(known))


def stale_days(lake: Lake, table: str, span: DayRange, landed: Counts) -> set[date]:
    """The days of `span` whose row count in the bank (`landed`) differs from that in a table of the lake."""
    ingested = lake.rows(table, lake.days_within(table, span))
    return {day for day in ingested.keys() | landed.keys() if ingested.get(day, 0) != landed.get(day, 0)}


def days_to_rerun(lake: Lake, stale: Iterable[date]) -> list[date]:
    """The days of the lake to run again, in order: the `stale` ones and those whose features depend on them."""
    changed = set(stale)
    return days_depending_on(changed, changed | set(lake.days("raw")))


def describe(stale: Iterable[date], again: list[date]) -> str:
    """The days as a line for people; empty if there are none."""
    late = sorted(stale)
    if not late:
        return ""
    shown = ", ".join(map(str, late[:10])) + (f" and {len(late) - 10} more" if len(late) > 10 else "")
    return f"rows landed after their day was ingested: {shown}; run {again[0]}..{again[-1]} again"

"""Find the pending events of the held-out days: those the bank has no record of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import psycopg

from bank.erased_rows import erased_keys
from bank.events import Event, events_of
from bank.feed import Feed
from bank.replay import as_landed, day_to_play


def next_day(
    bank: psycopg.Connection, feed: Feed, held_out: Sequence[date], now: datetime
) -> tuple[date, list[Event]] | None:
    """The first held-out day with pending events, and those events; None if all days before `now` are recorded."""
    first = _last_begun(bank, feed, held_out)
    for day in held_out:
        if first <= day < now.date() and (events := unrecorded(bank, day_to_play(feed, day, now))):
            return day, as_landed(bank, events)
    return None


def unrecorded(bank: psycopg.Connection, events: Sequence[Event]) -> list[Event]:
    """The events, all of one day, that the bank never had a record of; in the same order."""
    known: dict[str, set[tuple[str, int]]] = {}
    for table in ("transactions", "fraud_reports"):
        some = [event for event in events if event.landing_table == table]
        keys = [list({event.source for event in some}), [event.row["source_row"] for event in some]]
        query = f"select source, source_row from bank.{table} where source = any(%s) and source_row = any(%s)"
        known[table] = set(bank.execute(query, keys).fetchall()) | erased_keys(bank, table, some)
    return [event for event in events if event.key not in known[event.landing_table]]


def _last_begun(bank: psycopg.Connection, feed: Feed, held_out: Sequence[date]) -> date:
    """The last held-out day with recorded events; days are replayed in order, so earlier ones are complete."""
    query = "select distinct day from bank.transactions where day = any(%s) order by day desc"
    days: list[date] = [row[0] for row in bank.execute(query, [list(held_out)]).fetchall()]
    for day in days:
        events = events_of(feed, day)
        # Other sources may have rows on any day, so check that the rows are this feed's.
        if len(unrecorded(bank, events)) < len(events):
            return day
    return held_out[0]

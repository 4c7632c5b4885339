"""The rows that were erased with their customer: known by the key of their source, and by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg import sql

from bank.events import Event

NOT_ERASED: Final = sql.SQL(
    # What belongs to a payment, such as a report that lands later, has the payment's key.
    "not exists (select from bank.erased_rows as erased where erased.landing_table in ({table}, 'transactions') "
    "and erased.source = {rows}.source and erased.source_row = {rows}.source_row)"
)

OF_CUSTOMERS: Final = sql.SQL("""
insert into bank.erased_rows select {table}, source, source_row from {rows} as own
join bank.erased_customers as gone on gone.id = own.customer_id on conflict do nothing
""")


def erase_incoming(table: str, rows: sql.Identifier) -> sql.Composed:
    """The SQL statement that counts those of `rows` as erased that are of a customer erased since they were read."""
    return OF_CUSTOMERS.format(table=sql.Literal(table), rows=rows)


def not_erased(table: str, rows: sql.Identifier) -> sql.Composable:
    """The SQL condition that a row of `rows`, bound for a landing table, was not erased."""
    return NOT_ERASED.format(table=sql.Literal(table), rows=rows)


def without_erased(bank: psycopg.Connection, events: Sequence[Event]) -> list[Event]:
    """The events whose rows were not erased, in the same order: those of a forgotten customer are not sent again."""
    gone = {table: erased_keys(bank, table, events) for table in {event.landing_table for event in events}}
    return [event for event in events if event.key not in gone[event.landing_table]]


def erased_keys(bank: psycopg.Connection, table: str, events: Sequence[Event]) -> set[tuple[str, int]]:
    """The keys of these events that were erased from a landing table."""
    query = """
    select source, source_row from bank.erased_rows
    where landing_table in (%s, 'transactions') and source = any(%s) and source_row = any(%s)
    """
    sources = list({event.source for event in events})
    rows = [event.row["source_row"] for event in events]
    return set(bank.execute(query, [table, sources, rows]).fetchall())

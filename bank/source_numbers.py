"""Number the bank's sources in the order in which it first sees them (`contracts/repeated_ids.py`)."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from bank.landing import take_turns


def number_sources(bank: psycopg.Connection, sources: Iterable[str]) -> dict[str, int]:
    """The number of each source; new ones are numbered in the order given. Waits for other writers if one is new."""
    wanted = list(dict.fromkeys(sources))
    with bank.transaction():
        if len(found := _numbers(bank, wanted)) < len(wanted):
            take_turns(bank)
            for source in wanted:
                # An identity takes a number even for a row that exists.
                bank.execute(
                    "insert into bank.sources (source) select %(one)s::text "
                    "where not exists (select from bank.sources where source = %(one)s)",
                    {"one": source},
                )
            found = _numbers(bank, wanted)
    return found


def _numbers(bank: psycopg.Connection, sources: list[str]) -> dict[str, int]:
    query = "select source, number from bank.sources where source = any(%s)"
    return dict(bank.execute(query, [sources]).fetchall())

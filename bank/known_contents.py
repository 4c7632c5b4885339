"""What the bank knows of mapped files: a file that grows keeps its source, and no load brings back erased customers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import psycopg
import pyarrow as pa

from bank.errors import DataError
from bank.feed import Feed
from bank.mapped.contents import Content, Contents
from bank.mapped.feed import MappedFeed

MOST_LOADED: Final = 0.1
"""The share of a new file's payments that other files may have brought: repeated ids, which validation quarantines."""
ADD: Final = """
insert into bank.contents (digest, size, source) values (%s, %s, %s) on conflict do nothing
"""
LOADED: Final = """
select count(*), count(*) filter (where exists (
    select from bank.transactions as old
    where old.source = any(%(before)s)
        and old.customer_id = new.customer_id and old.terminal_id = new.terminal_id
        and old.occurred_at = new.occurred_at and old.amount = new.amount
        and (%(numbered)s or old.transaction_id = new.transaction_id)
)) from bank.transactions as new where source = %(source)s
"""


def take_over(bank: psycopg.Connection, feed: Feed) -> bool:
    """Tell a mapped feed which contents and erased customers the bank knows; whether that changes its payments."""
    if not isinstance(feed, MappedFeed):
        return False
    own = feed.sources
    found = bank.execute("select digest, size, source from bank.contents").fetchall()
    erased = [row[0] for row in bank.execute("select id from bank.erased_customers").fetchall()]
    feed.known.contents = Contents([Content(*row) for row in found])
    feed.known.erased = pa.array(erased, pa.int64())
    return feed.sources != own or bool(erased)


def record(bank: psycopg.Connection, feed: MappedFeed) -> None:
    """Record the contents of a feed's files as loaded."""
    with bank.cursor() as cursor:
        cursor.executemany(ADD, [(one.digest, one.size, one.source) for one in feed.contents])


def require_unloaded(bank: psycopg.Connection, feed: MappedFeed, before: Collection[str]) -> None:
    """Raise `DataError` for a file whose payments are those of another file, of the sources `before` this load."""
    new = {source: file for source, file in feed.sources.items() if source not in before}
    if not before or not new:
        return
    bank.execute("analyze bank.transactions")
    for source, file in new.items():
        given = {"source": source, "before": list(before), "numbered": feed.numbered}
        total, loaded = bank.execute(LOADED, given).fetchone() or (0, 0)
        if loaded > total * MOST_LOADED:
            raise DataError(
                f"{loaded:,} of the {total:,} payments of {file.label} are loaded already, from another version of "
                "it, so nothing is loaded: rows may be added at the end of a file; load a corrected one into a new "
                "bank (`make demo` makes one)"
            )

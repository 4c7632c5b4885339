"""What the bank knows of mapped files: a file that grows keeps its source, and no load brings back erased customers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import psycopg
import pyarrow as pa
from psycopg import sql

from bank.errors import DataError
from bank.feed import Feed
from bank.landing import copy_rows, take_turns
from bank.mapped.contents import Content, Contents
from bank.mapped.feed import MappedFeed
from bank.mapped.files import DataFile

MOST_LOADED: Final = 0.1
"""The share of a new file's payments that other files may have brought: repeated ids, which validation quarantines."""
FEW_LOADED: Final = 3
"""So many repeated ids may be in any file that also has new ones: a tenth of a small file is less than a payment."""
ADD: Final = """
insert into bank.contents (digest, size, source) values (%s, %s, %s) on conflict do nothing
"""
COMPARED: Final = ("source", "transaction_id", "customer_id", "terminal_id", "occurred_at", "amount")
INCOMING: Final = sql.SQL("create temporary table incoming as select {} from bank.transactions with no data").format(
    sql.SQL(", ").join(map(sql.Identifier, COMPARED))
)
LOADED: Final = """
select new.source, count(*) from incoming as new where exists (
    select from bank.transactions as old
    where old.customer_id = new.customer_id and old.terminal_id = new.terminal_id
        and old.occurred_at = new.occurred_at and old.amount = new.amount
        and (%(numbered)s or old.transaction_id = new.transaction_id)
) group by new.source
"""
WITH_ROWS: Final = """
select source from bank.sources as one where exists (select from bank.transactions where source = one.source)
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


def admit(bank: psycopg.Connection, feed: Feed) -> bool:
    """`take_over` for a replay: also records the feed's files. Raises `DataError` for one that was changed."""
    if not isinstance(feed, MappedFeed):
        return False
    with bank.transaction():
        take_turns(bank)
        changed = take_over(bank, feed)
        require_unloaded(bank, feed)
        record(bank, feed)
    return changed


def require_unloaded(bank: psycopg.Connection, feed: MappedFeed) -> None:
    """Raise `DataError` for a file of whose source nothing is loaded, but whose payments are, from another file."""
    # By rows: a source whose rows were all held out so far is in the bank, too.
    before = {row[0] for row in bank.execute(WITH_ROWS).fetchall()}
    new = {source: file for source, file in feed.sources.items() if source not in before}
    if not new or bank.execute("select from bank.transactions limit 1").fetchone() is None:
        return
    totals = _copy_incoming(bank, feed, new)
    loaded = bank.execute(LOADED, {"numbered": feed.numbered}).fetchall()
    bank.execute("drop table incoming")
    for source, number in loaded:
        total = totals[source]
        few = FEW_LOADED if number < total and not feed.numbered else 0
        if number > max(total * MOST_LOADED, few):
            raise DataError(
                f"{number:,} of the {total:,} payments of {new[source].label} are loaded already, from "
                "another version of it, so nothing is loaded: rows may be added at the end of a file; load a corrected "
                "one into a new bank (`make demo` makes one)"
            )


def _copy_incoming(bank: psycopg.Connection, feed: MappedFeed, sources: Mapping[str, DataFile]) -> Counter[str]:
    """Copy the payments of some sources into the table `incoming`; returns how many each has."""
    bank.execute(INCOMING)
    totals: Counter[str] = Counter()
    for batch in feed.batches_of(sources):
        totals[batch.source] += len(batch.rows)
        named = batch.rows.select(COMPARED[1:]).add_column(0, "source", pa.repeat(batch.source, len(batch.rows)))
        copy_rows(bank, "incoming", named)
    bank.execute("analyze incoming")
    return totals

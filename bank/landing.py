"""Insert rows into the bank's landing tables by COPY; rows whose key exists are skipped."""

from __future__ import annotations

import io
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from bank.erased_rows import erase_incoming, not_erased
from bank.schema import columns_of
from bank.settings import Settings

LANDING_LOCK: Final = 0x6C616E64
"""Advisory lock taken by every writer: while one checks that a source is new, no other may land rows of it."""
CSV: Final = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")


def open_bank(settings: Settings) -> psycopg.Connection:
    """A connection to the bank's database as the role `bank_feed`, time zone UTC."""
    password = settings.secret("bank_feed_password")
    return psycopg.connect(settings.bank_url, user="bank_feed", password=password, options="-c timezone=UTC")


def take_turns(bank: psycopg.Connection) -> None:
    """Take the landing lock until the end of this transaction; waits while another writer holds it."""
    bank.execute("select pg_advisory_xact_lock(%s)", [LANDING_LOCK])


def is_new_source(bank: psycopg.Connection, table: str, source: str) -> bool:
    """Whether the table never had a row of this source, and no row of it was erased."""
    known = sql.SQL("select 1 from bank.{} where source = %(source)s").format(sql.Identifier(table))
    erased = sql.SQL("select 1 from bank.erased_rows where source = %(source)s")
    query = sql.SQL("({}) union all ({}) limit 1").format(known, erased)
    return bank.execute(query, {"source": source}).fetchone() is None


def land(bank: psycopg.Connection, table: str, source: str, rows: pa.Table, new_source: bool = False) -> int:
    """Insert rows, with all columns of the landing table except `source`; returns how many were new.

    Rows of a new source are copied directly; otherwise they go through a temporary table, and those that were erased
    with their customer are left out.
    """
    columns = columns_of(table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    target = sql.Identifier("bank", table)
    csv = _csv(rows.select(columns[1:]).add_column(0, "source", pa.repeat(source, len(rows))))
    if new_source:
        _copy(bank, target, names, csv)
        return len(rows)
    staging = sql.Identifier("landing")
    bank.execute(
        sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(
            staging, names, target
        )
    )
    _copy(bank, staging, names, csv)
    if "customer_id" in columns:
        bank.execute(erase_incoming(table, staging))
    insert = sql.SQL("insert into {} ({}) select {} from {} where {} on conflict do nothing")
    added = bank.execute(insert.format(target, names, names, staging, not_erased(table, staging))).rowcount
    bank.execute(sql.SQL("drop table {}").format(staging))
    return added


def copy_rows(bank: psycopg.Connection, table: str, rows: pa.Table) -> None:
    """Copy rows into a table that has their columns."""
    names = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    _copy(bank, sql.Identifier(table), names, _csv(rows))


def _copy(bank: psycopg.Connection, table: sql.Identifier, names: sql.Composable, csv: bytes) -> None:
    with (
        bank.cursor() as cursor,
        cursor.copy(sql.SQL("copy {} ({}) from stdin (format csv)").format(table, names)) as copy,
    ):
        copy.write(csv)


def _csv(rows: pa.Table) -> bytes:
    """Rows as CSV; instants without their zone, which takes a tenth of the time: the connection's zone is UTC."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(place, field.name, rows[place].cast(pa.timestamp(field.type.unit)))
    out = io.BytesIO()
    # Combined: where the first chunk is empty, pyarrow 25 writes zero bytes.
    pyarrow.csv.write_csv(rows.combine_chunks(), out, CSV)
    return out.getvalue()

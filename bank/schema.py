"""The bank's tables, derived from the contract. Landing tables store rows unmodified.

Only the primary key is enforced; any other value may be null, duplicated or invalid, and validation deals with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from contracts.transaction import ANALYSIS_FIELDS, MAX_CLOCK_SKEW, REPORT_FIELDS, TRANSACTION_FIELDS, FieldSpec, Kind

SQL_TYPES: Final[dict[Kind, str]] = {"id": "bigint", "amount": "numeric", "instant": "timestamptz", "code": "bigint"}
FIRST_FIELDS: Final = {"transactions": TRANSACTION_FIELDS, "fraud_reports": REPORT_FIELDS}
LATER_FIELDS: Final[dict[str, tuple[FieldSpec, ...]]] = {"transactions": (), "fraud_reports": ANALYSIS_FIELDS}
"""Fields added after the tables' first version; new tables get them the same way, so that old and new are identical."""
TABLES: Final = {name: (*first, *LATER_FIELDS[name]) for name, first in FIRST_FIELDS.items()}
TIME_OF: Final = {"transactions": "occurred_at", "fraud_reports": "reported_at"}


def landing_columns(fields: Sequence[FieldSpec]) -> list[str]:
    """The columns that a feed writes, in order."""
    return ["source", "source_row", *(field.name for field in fields), "arrived_at"]


def bank_ddl() -> list[str]:
    """The statements that create the bank's schema; all are idempotent."""
    return ["create schema if not exists bank", *(statement for name in TABLES for statement in _table_ddl(name))]


def _table_ddl(name: str) -> list[str]:
    columns = ",\n    ".join(f"{field.name} {SQL_TYPES[field.kind]}" for field in FIRST_FIELDS[name])
    time = TIME_OF[name]
    skew = int(MAX_CLOCK_SKEW.total_seconds())
    # The row's partition in the lake. A row whose time is missing, before 1970 or after its arrival is filed under the
    # day it arrived, where validation quarantines it.
    utc, arrived = f"({time} at time zone 'UTC')", "(arrived_at at time zone 'UTC')"
    usable = f"{utc} >= timestamp '1970-01-01' and {utc} <= {arrived} + interval '{skew} seconds'"
    table = f"""create table if not exists bank.{name} (
    source text not null,
    source_row bigint not null,
    {columns},
    arrived_at timestamptz not null,
    day date not null generated always as
        ((case when {usable} then {utc} else {arrived} end)::date) stored,
    primary key (source, source_row)
)"""
    index = f"create index if not exists {name}_day on bank.{name} (day)"
    return [table, index, *(_column_ddl(name, field) for field in LATER_FIELDS[name])]


def _column_ddl(table: str, field: FieldSpec) -> str:
    # Check first: `alter table` blocks every reader even when there is nothing to add, and an ingest whose tasks wait
    # behind it would never finish.
    return f"""do $$ begin
    if not exists (select from information_schema.columns
        where table_schema = 'bank' and table_name = '{table}' and column_name = '{field.name}')
    then alter table bank.{table} add column if not exists {field.name} {SQL_TYPES[field.kind]};
    end if;
end $$"""


def grants_ddl() -> list[str]:
    """The grants: `bank_feed` may insert and read, `bank_reader` may read; no role may change landed rows."""
    return [
        "revoke all on schema public from public",
        "grant usage on schema bank to bank_feed, bank_reader",
        # `maintain` (PostgreSQL 17 and later) allows the `analyze` after a load.
        "grant select, insert, maintain on all tables in schema bank to bank_feed",
        "grant select on all tables in schema bank to bank_reader",
    ]


def decisions_ddl() -> list[str]:
    """The scorer's schema, read-only for `decisions_reader`; the scorer creates its tables itself."""
    return [
        "create schema if not exists serving authorization scorer",
        "grant usage on schema serving to decisions_reader",
        "grant select on all tables in schema serving to decisions_reader",
        "alter default privileges for role scorer in schema serving grant select on tables to decisions_reader",
    ]

"""The bank's tables, derived from the contract. Landing tables: what came stays as it came.

Only the key of a row of its own is enforced; everything else may be null, repeated or wrong, or validation would have
nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from contracts.transaction import ANALYSIS_FIELDS, MAX_CLOCK_SKEW, REPORT_FIELDS, TRANSACTION_FIELDS, FieldSpec, Kind

SQL_TYPES: Final[dict[Kind, str]] = {"id": "bigint", "amount": "numeric", "instant": "timestamptz", "code": "bigint"}
FIRST_FIELDS: Final = {"transactions": TRANSACTION_FIELDS, "fraud_reports": REPORT_FIELDS}
LATER_FIELDS: Final[dict[str, tuple[FieldSpec, ...]]] = {"transactions": (), "fraud_reports": ANALYSIS_FIELDS}
"""Fields that the tables got after they were first made: added to new tables too, so that old and new are the same."""
TABLES: Final = {name: (*first, *LATER_FIELDS[name]) for name, first in FIRST_FIELDS.items()}
TIME_OF: Final = {"transactions": "occurred_at", "fraud_reports": "reported_at"}


def landing_columns(fields: Sequence[FieldSpec]) -> list[str]:
    """The columns that a feed fills, in order."""
    return ["source", "source_row", *(field.name for field in fields), "arrived_at"]


def bank_ddl() -> list[str]:
    """The statements that make the bank's schema; each may be run again."""
    return ["create schema if not exists bank", *(statement for name in TABLES for statement in _table_ddl(name))]


def _table_ddl(name: str) -> list[str]:
    columns = ",\n    ".join(f"{field.name} {SQL_TYPES[field.kind]}" for field in FIRST_FIELDS[name])
    time = TIME_OF[name]
    skew = int(MAX_CLOCK_SKEW.total_seconds())
    # The day under which the lake keeps the row. A time that is missing, before 1970 or ahead of its own arrival says
    # nothing: such a row is filed under the day it came, so that validation meets it.
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
    # Asked first: `alter table` locks out every reader, even where there is nothing to add, and an ingest whose tasks
    # wait behind it would never end.
    return f"""do $$ begin
    if not exists (select from information_schema.columns
        where table_schema = 'bank' and table_name = '{table}' and column_name = '{field.name}')
    then alter table bank.{table} add column if not exists {field.name} {SQL_TYPES[field.kind]};
    end if;
end $$"""


def grants_ddl() -> list[str]:
    """Who may do what: the feed adds and reads, the reader reads, and nobody changes what landed."""
    return [
        "revoke all on schema public from public",
        "grant usage on schema bank to bank_feed, bank_reader",
        # `maintain` (PostgreSQL 17 and later) lets a load tell the planner what it added.
        "grant select, insert, maintain on all tables in schema bank to bank_feed",
        "grant select on all tables in schema bank to bank_reader",
    ]


def decisions_ddl() -> list[str]:
    """The scorer makes its own table; here, that a comparison may read it and no more."""
    return [
        "create schema if not exists serving authorization scorer",
        "grant usage on schema serving to decisions_reader",
        "grant select on all tables in schema serving to decisions_reader",
        "alter default privileges for role scorer in schema serving grant select on tables to decisions_reader",
    ]

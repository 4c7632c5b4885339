"""The fields of the bank's tables, derived from the contract, and the grants in both databases.

The tables themselves are created by `bank/migrations/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from contracts.transaction import ANALYSIS_FIELDS, REPORT_FIELDS, TRANSACTION_FIELDS, FieldSpec

TABLES: Final = {"transactions": TRANSACTION_FIELDS, "fraud_reports": (*REPORT_FIELDS, *ANALYSIS_FIELDS)}
MORE_TABLES: Final = {
    "refunds": ("transaction_id", "kind", "refund_of", "customer_id", "terminal_id", "amount", "occurred_at"),
    "unknown_labels": ("transaction_id",),
}
"""The fields of what only files read by a map have."""


def columns_of(table: str) -> list[str]:
    """The columns of a landing table that a feed writes, in order."""
    if table in MORE_TABLES:
        return ["source", "source_row", *MORE_TABLES[table], "arrived_at"]
    return landing_columns(TABLES[table])


def landing_columns(fields: Sequence[FieldSpec]) -> list[str]:
    """The columns that a feed writes, in order."""
    return ["source", "source_row", *(field.name for field in fields), "arrived_at"]


def grants_ddl() -> list[str]:
    """The grants: `bank_feed` may insert and read, `bank_reader` may read; no role may change landed rows."""
    return [
        "revoke all on schema public from public",
        "grant usage on schema bank to bank_feed, bank_reader",
        # `maintain` (PostgreSQL 17 and later) allows the `analyze` after a load.
        "grant select, insert, maintain on all tables in schema bank to bank_feed",
        "grant select on all tables in schema bank to bank_reader",
    ]


def decisions_grants_ddl() -> list[str]:
    """The grants on the scorer's tables: `decisions_reader` may read them."""
    return [
        "grant usage on schema serving to decisions_reader",
        "grant select on all tables in schema serving to decisions_reader",
        "alter default privileges for role scorer in schema serving grant select on tables to decisions_reader",
    ]

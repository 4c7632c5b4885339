"""Reject rows that no scorer writes: the relay sets a damaged record aside, and recovery can read all others.

A timestamp after the year 9999 cannot be read, and a sequence number that is not exact as a floating-point number would
be the last one that Valkey can give. The rows that exist are not checked.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

PAYMENT = """
    transaction_id >= 0 and terminal_id >= 0 and amount between 0 and 1000000
    and occurred_at >= '1970-01-01Z' and occurred_at < '10000-01-01Z' and applied between 0 and 9007199254740992
"""
DECISION = """
    and customer_id >= 0 and score between 0 and 1 and decision in ('approve', 'review', 'decline')
    and jsonb_typeof(reasons) = 'array' and jsonb_typeof(features) = 'object'
    and decided_at >= '1970-01-01Z' and decided_at < '10000-01-01Z'
"""
REPORT = "and reported_at >= '1970-01-01Z' and reported_at < '10000-01-01Z'"


def upgrade() -> None:
    """Add a check to each table, for new rows."""
    for table, more in (("decisions", DECISION), ("fraud_reports", REPORT)):
        op.execute(f"alter table serving.{table} add constraint possible check ({PAYMENT} {more}) not valid")

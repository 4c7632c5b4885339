"""The fraud reports, one row for each payment; and an index for reading decisions in the order of their payments.

The index of the instants of decisions goes: nothing is read in the order of a clock.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table and the indexes, and drop those that they replace."""
    op.execute("""
create table serving.fraud_reports (
    transaction_id bigint primary key,
    reported_at timestamptz not null,
    terminal_id bigint not null,
    amount numeric(12, 2) not null,
    occurred_at timestamptz not null,
    applied bigint not null
)""")
    op.execute("create index fraud_reports_position on serving.fraud_reports (occurred_at, transaction_id)")
    op.execute("create index fraud_reports_applied on serving.fraud_reports (applied, transaction_id)")
    op.execute("create index decisions_position on serving.decisions (occurred_at, transaction_id)")
    op.execute("drop index serving.decisions_occurred_at")
    op.execute("drop index serving.decisions_decided_at")

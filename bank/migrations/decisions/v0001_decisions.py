"""The decisions, and the list of those not yet in the online store.

Installations older than these migrations have the tables already: the scorer created them.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables and their indexes if they are missing."""
    op.execute("""
create table if not exists serving.decisions (
    transaction_id bigint primary key,
    customer_id bigint not null,
    terminal_id bigint not null,
    amount numeric(12, 2) not null,
    occurred_at timestamptz not null,
    score float8 not null,
    decision text not null,
    reasons jsonb not null,
    model_version text not null,
    degraded bool not null,
    features jsonb not null,
    features_version text not null,
    applied bigint not null,
    decided_at timestamptz not null
)""")
    op.execute("create index if not exists decisions_occurred_at on serving.decisions (occurred_at)")
    op.execute("create index if not exists decisions_decided_at on serving.decisions (decided_at, transaction_id)")
    op.execute("create index if not exists decisions_applied on serving.decisions (applied)")
    op.execute("""
create table if not exists serving.unapplied (
    transaction_id bigint primary key references serving.decisions
)""")

"""What files read by a map bring besides payments and frauds: refunds, and ids that are hashes.

`refunds` has refunds and reversals; `refund_of` is the payment's id, where the source names it. `hashed_ids` has a
fingerprint of what each hash stands for, so that two ids with one hash are found; both are keyed by a secret that the
database does not have.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
create table if not exists bank.refunds (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    kind text not null,
    refund_of bigint,
    customer_id bigint,
    terminal_id bigint,
    amount numeric,
    occurred_at timestamptz,
    arrived_at timestamptz not null,
    primary key (source, source_row)
)""")
    op.execute("""
create table if not exists bank.hashed_ids (
    kind smallint not null,
    id bigint not null,
    fingerprint bigint not null,
    primary key (kind, id)
)""")

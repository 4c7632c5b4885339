"""Payments whose label the bank does not know: neither frauds nor genuine. Rows are stored unmodified."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
create table if not exists bank.unknown_labels (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    arrived_at timestamptz not null,
    primary key (source, source_row)
)""")

"""The keys of rows that were erased with their customer: loading their source again must not bring them back."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
create table if not exists bank.erased_rows (
    landing_table text not null,
    source text not null,
    source_row bigint not null,
    primary key (landing_table, source, source_row)
)""")

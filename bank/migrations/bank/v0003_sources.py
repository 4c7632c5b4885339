"""The numbers of the sources, in the order in which they landed. They order rows with the same id and arrival.

Sources that landed before are numbered in the order of their first row in the table.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table and number the sources that have rows."""
    op.execute("""
create table if not exists bank.sources (
    source text primary key,
    number bigint not null generated always as identity unique
)""")
    op.execute("""
insert into bank.sources (source)
select source from (select source, min(ctid) as first_row from bank.transactions group by source) as landed
order by first_row
on conflict do nothing""")

"""The fraud pattern named by a report, for analysis. Earlier reports keep null.

Installations older than these migrations may have the column already.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column if it is missing."""
    # Check first: `alter table` blocks all readers even if there is nothing to add, and an ingest whose tasks wait
    # behind it would never end.
    op.execute("""
do $$ begin
    if not exists (select from information_schema.columns
        where table_schema = 'bank' and table_name = 'fraud_reports' and column_name = 'pattern')
    then alter table bank.fraud_reports add column pattern bigint;
    end if;
end $$""")

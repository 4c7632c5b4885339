"""What a fraud report says of the fraud's pattern, for analysis. Reports that landed before keep null.

Installations from before there were versions may have the column already.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, where it is missing."""
    # Asked first: `alter table` locks out every reader even where there is nothing to add, and an ingest whose tasks
    # wait behind it would never end.
    op.execute("""
do $$ begin
    if not exists (select from information_schema.columns
        where table_schema = 'bank' and table_name = 'fraud_reports' and column_name = 'pattern')
    then alter table bank.fraud_reports add column pattern bigint;
    end if;
end $$""")

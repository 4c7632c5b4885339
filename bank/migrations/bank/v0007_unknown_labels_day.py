"""An index on the day of unknown labels: ingest reads them by day, and without labels every payment has one."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the index."""
    op.execute("""
create index if not exists unknown_labels_day on bank.unknown_labels (((arrived_at at time zone 'UTC')::date))""")

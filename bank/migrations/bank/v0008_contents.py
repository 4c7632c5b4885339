"""The contents of files read by a map: one that has grown is found, and only its new rows are loaded.

Files that were loaded before are recorded when they are loaded again. One that has grown since is rejected: load its
earlier state first, then the grown one.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
create table if not exists bank.contents (
    digest text primary key,
    size bigint not null,
    source text not null
)""")

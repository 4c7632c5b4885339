"""The landing tables. They store rows unmodified: only the primary key is enforced.

`day` is the row's partition in the lake. A time that is missing, before 1970 or more than 300 seconds (the contract's
`MAX_CLOCK_SKEW`) after the row's arrival is unusable: such a row gets its arrival day, so that validation sees it.

Installations older than these migrations have the tables already.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

DAY = """(case
    when ({time} at time zone 'UTC') >= timestamp '1970-01-01'
        and ({time} at time zone 'UTC') <= (arrived_at at time zone 'UTC') + interval '300 seconds'
    then ({time} at time zone 'UTC')
    else (arrived_at at time zone 'UTC')
end)::date"""


def upgrade() -> None:
    """Create both tables if they are missing."""
    op.execute(f"""
create table if not exists bank.transactions (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    customer_id bigint,
    terminal_id bigint,
    amount numeric,
    occurred_at timestamptz,
    arrived_at timestamptz not null,
    day date not null generated always as ({DAY.format(time="occurred_at")}) stored,
    primary key (source, source_row)
)""")
    op.execute("create index if not exists transactions_day on bank.transactions (day)")
    op.execute(f"""
create table if not exists bank.fraud_reports (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    reported_at timestamptz,
    arrived_at timestamptz not null,
    day date not null generated always as ({DAY.format(time="reported_at")}) stored,
    primary key (source, source_row)
)""")
    op.execute("create index if not exists fraud_reports_day on bank.fraud_reports (day)")

-- The bank's tables as they were made before their versions were recorded.
create schema if not exists bank;
create table if not exists bank.transactions (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    customer_id bigint,
    terminal_id bigint,
    amount numeric,
    occurred_at timestamptz,
    arrived_at timestamptz not null,
    day date not null generated always as
        ((case when (occurred_at at time zone 'UTC') >= timestamp '1970-01-01' and (occurred_at at time zone 'UTC') <= (arrived_at at time zone 'UTC') + interval '300 seconds' then (occurred_at at time zone 'UTC') else (arrived_at at time zone 'UTC') end)::date) stored,
    primary key (source, source_row)
);
create index if not exists transactions_day on bank.transactions (day);
create table if not exists bank.fraud_reports (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    reported_at timestamptz,
    arrived_at timestamptz not null,
    day date not null generated always as
        ((case when (reported_at at time zone 'UTC') >= timestamp '1970-01-01' and (reported_at at time zone 'UTC') <= (arrived_at at time zone 'UTC') + interval '300 seconds' then (reported_at at time zone 'UTC') else (arrived_at at time zone 'UTC') end)::date) stored,
    primary key (source, source_row)
);
create index if not exists fraud_reports_day on bank.fraud_reports (day);
do $$ begin
    if not exists (select from information_schema.columns
        where table_schema = 'bank' and table_name = 'fraud_reports' and column_name = 'pattern')
    then alter table bank.fraud_reports add column if not exists pattern bigint;
    end if;
end $$;

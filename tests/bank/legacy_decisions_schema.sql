-- The scorer's tables as it made them itself before their versions were recorded.
create schema if not exists serving;
create table if not exists serving.decisions (
    transaction_id bigint primary key,
    customer_id bigint not null,
    terminal_id bigint not null,
    amount numeric(12, 2) not null,
    occurred_at timestamptz not null,
    score float8 not null,
    decision text not null,
    reasons jsonb not null,
    model_version text not null,
    degraded bool not null,
    features jsonb not null,
    features_version text not null,
    applied bigint not null,
    decided_at timestamptz not null
);
create index if not exists decisions_occurred_at on serving.decisions (occurred_at);
create index if not exists decisions_decided_at on serving.decisions (decided_at, transaction_id);
create index if not exists decisions_applied on serving.decisions (applied);
create table if not exists serving.unapplied (
    transaction_id bigint primary key references serving.decisions
);

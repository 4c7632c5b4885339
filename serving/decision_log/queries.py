"""The SQL of the decision log.

`serving.unapplied` holds the ids of decisions that are pending backfill. The table keeps its first name: databases in
use have it, and other tools read it.
"""

from __future__ import annotations

from typing import Final

WRITABLE: Final = """
with needed as (
    select name, rights, to_regclass('serving.' || name) as id from (values
        ('decisions', '{select, insert, update}'::text[]),
        ('unapplied', '{select, insert, delete}'),
        ('fraud_reports', '{select, insert, update}')
    ) as tables (name, rights)
)
select pg_is_in_recovery() as standby, current_setting('transaction_read_only')::bool as read_only,
    array(select name from needed where id is null) as missing,
    array(
        select name from needed
        where exists (select from unnest(rights) as granted where not has_table_privilege(id, granted))
    ) as forbidden
"""
READABLE: Final = """
(select 1 from serving.decisions limit 1) union all (select 1 from serving.unapplied limit 1)
union all (select 1 from serving.fraud_reports limit 1)
"""
HIGHEST: Final = """
select greatest(
    (select max(applied) from serving.decisions), (select max(applied) from serving.fraud_reports)
) as highest
"""
HIGHEST_ID: Final = "select max(transaction_id) as highest from serving.decisions"

COLUMNS: Final = (
    "transaction_id, customer_id, terminal_id, amount, occurred_at, score, decision, reasons, model_version, degraded, "
    "features, features_version, applied, decided_at"
)
APPEND: Final = f"""
insert into serving.decisions ({COLUMNS})
select {COLUMNS} from jsonb_populate_recordset(null::serving.decisions, %s::jsonb) with ordinality
-- Always in one order: two scorers that write the same rows must not deadlock.
-- Of two decisions on a payment, the first.
order by transaction_id, ordinality
on conflict (transaction_id) do nothing
"""
FIND: Final = f"select {COLUMNS} from serving.decisions where transaction_id = any(%s)"
MISSING: Final = """
select asked.transaction_id from unnest(%s::bigint[]) as asked (transaction_id)
where not exists (select from serving.decisions as d where d.transaction_id = asked.transaction_id)
"""
RECORD: Final = f"""
with added as (
    insert into serving.decisions ({COLUMNS})
    select {COLUMNS} from jsonb_populate_recordset(null::serving.decisions, %s::jsonb)
    order by transaction_id
    on conflict (transaction_id) do nothing
    returning transaction_id
)
insert into serving.unapplied (transaction_id) select transaction_id from added returning transaction_id
"""
PENDING_BACKFILL: Final = f"""
select {COLUMNS} from serving.decisions
where transaction_id in (
    select transaction_id from serving.unapplied where transaction_id > %s order by transaction_id limit %s
)
order by transaction_id
"""
MARK_BACKFILLED: Final = """
-- Locked in one order: two scorers that backfill the same payments must not deadlock.
with locked as (
    select transaction_id from serving.decisions where transaction_id = any(%(ids)s::bigint[])
    order by transaction_id for update
),
numbered as (
    select n.* from unnest(%(ids)s::bigint[], %(numbers)s::bigint[]) as n(transaction_id, applied)
    join locked using (transaction_id)
),
gone as (delete from serving.unapplied using numbered where unapplied.transaction_id = numbered.transaction_id)
update serving.decisions set applied = numbered.applied from numbered
where decisions.transaction_id = numbered.transaction_id
"""
RECORDED: Final = f"""
select {COLUMNS} from serving.decisions
where (occurred_at, transaction_id) > (%(after)s::timestamptz, %(number)s) and applied between 1 and %(until)s
order by occurred_at, transaction_id limit %(limit)s
"""
APPLIED_AFTER: Final = f"""
select {COLUMNS} from serving.decisions where applied > %s order by applied limit %s
"""
NUMBERED: Final = "select transaction_id from serving.decisions where applied > %s and applied <= %s"
LOCATE: Final = """
select transaction_id, terminal_id, floor(extract(epoch from occurred_at))::bigint as second,
    (amount * 100)::bigint as cents
from serving.decisions where transaction_id = any(%s)
"""

REPORT_COLUMNS: Final = "transaction_id, reported_at, terminal_id, amount, occurred_at, applied"
APPEND_REPORTS: Final = f"""
insert into serving.fraud_reports as known ({REPORT_COLUMNS})
select distinct on (transaction_id) {REPORT_COLUMNS}
from jsonb_populate_recordset(null::serving.fraud_reports, %s::jsonb)
-- Always in one order: two scorers that write the same rows must not deadlock.
order by transaction_id, reported_at
on conflict (transaction_id) do update set reported_at = excluded.reported_at, applied = excluded.applied
where excluded.reported_at < known.reported_at
"""
MISSING_REPORTS: Final = """
select asked.transaction_id, asked.reported from unnest(%s::bigint[], %s::bigint[]) as asked (transaction_id, reported)
where not exists (
    select from serving.fraud_reports as known
    where known.transaction_id = asked.transaction_id and known.reported_at <= to_timestamp(asked.reported)
)
"""
_REPORTS: Final = """
select transaction_id, floor(extract(epoch from reported_at))::bigint as reported, terminal_id,
    floor(extract(epoch from occurred_at))::bigint as second, (amount * 100)::bigint as cents, applied
from serving.fraud_reports
"""
REPORTS_AFTER: Final = (
    f"{_REPORTS} where (applied, transaction_id) > (%s, %s) order by applied, transaction_id limit %s"
)
REPORTS_SINCE: Final = f"""
{_REPORTS} where (occurred_at, transaction_id) > (to_timestamp(%s::bigint), %s)
order by occurred_at, transaction_id limit %s
"""

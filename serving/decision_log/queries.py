"""The SQL of the decision log.

`serving.unapplied` holds the ids of decisions that are pending backfill. The table keeps its first name: databases in
use have it, and other tools read it.
"""

from __future__ import annotations

from typing import Final

CHECK: Final = "select 1 from serving.decisions limit 1"
HIGHEST: Final = "select max(applied) as highest from serving.decisions"

COLUMNS: Final = (
    "transaction_id, customer_id, terminal_id, amount, occurred_at, score, decision, reasons, model_version, degraded, "
    "features, features_version, applied, decided_at"
)
APPEND: Final = f"""
insert into serving.decisions ({COLUMNS})
select {COLUMNS} from jsonb_populate_recordset(null::serving.decisions, %s::jsonb)
-- Always in one order: two scorers that write the same rows must not deadlock.
order by transaction_id
on conflict (transaction_id) do nothing
"""
FIND: Final = f"select {COLUMNS} from serving.decisions where transaction_id = any(%s)"
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
where (decided_at, transaction_id) > (%(after)s::timestamptz, %(number)s) and decided_at < %(until)s and applied > 0
order by decided_at, transaction_id limit %(limit)s
"""
APPLIED_AFTER: Final = f"""
select {COLUMNS} from serving.decisions where applied > %s order by applied limit %s
"""
LOCATE: Final = """
select transaction_id, terminal_id, floor(extract(epoch from occurred_at))::bigint as second,
    (amount * 100)::bigint as cents
from serving.decisions where transaction_id = any(%s)
"""

"""Forget one customer in the bank's tables: `python -m bank.erase --customer ID`.

It is safe to run again. The keys of the erased rows are kept, and the customer's id if it is a keyed hash, so that
loading or replaying does not bring the customer back. docs/operations.md says what else to run.
"""

from __future__ import annotations

import argparse
import json
from typing import Final

import psycopg
from psycopg import sql

from bank.errors import BankError
from bank.landing import take_turns
from bank.mapped.ids import FIRST_HASH, KINDS
from bank.runner import run
from bank.settings import Settings, read_settings
from contracts.transaction import MAX_ID

OWN_IDS: Final = """
select distinct transaction_id from bank.transactions as own
where customer_id = %(customer)s and transaction_id is not null
    -- A repeated id: reports of it are another customer's as well.
    and not exists (select from bank.transactions as other
        where other.transaction_id = own.transaction_id and other.customer_id is distinct from %(customer)s)
"""
LANDING_TABLES: Final = """
select table_name, bool_or(column_name = 'customer_id') as names_customers from information_schema.columns
where table_schema = 'bank' group by table_name
having array_agg(column_name::text) @> array['source', 'source_row', 'transaction_id'] order by table_name
"""
OF_CUSTOMER: Final = sql.SQL("customer_id = %(customer)s")
OF_PAYMENTS: Final = sql.SQL("transaction_id = any(%(ids)s::bigint[])")
ERASE: Final = sql.SQL("""
with gone as (delete from {target} where {condition} returning source, source_row)
insert into bank.erased_rows select {table}, source, source_row from gone on conflict do nothing
""")
ERASE_SCORED_REPORTS: Final = """
delete from serving.fraud_reports as report where transaction_id = any(%(ids)s::bigint[]) and not exists (
    select from serving.decisions as decision
    where decision.transaction_id = report.transaction_id and decision.customer_id <> %(customer)s
)
"""
"""Reports that the scorer took of payments that it did not score: only the bank knows whose they are."""
LIST_HASH: Final = """
insert into bank.erased_customers
select id from bank.hashed_ids where kind = %(kind)s and id = %(customer)s
union
-- Landed by a replay alone, which registers no hash: of a mapped file, and too long for an id in clear.
select customer_id from bank.transactions join bank.contents using (source)
where customer_id = %(customer)s and customer_id >= %(first_hash)s
on conflict do nothing
"""
"""So that no load brings the customer back, also from another file. Only hashes: an id in clear would identify."""
ERASE_HASH: Final = "delete from bank.hashed_ids where kind = %(kind)s and id = %(customer)s"
"""The fingerprint of what the customer's id stands for."""
NAMES: Final = {"transactions": "payments", "fraud_reports": "reports"}
"""What the result calls these tables; others keep their names."""


def erase(settings: Settings, customer_id: int) -> dict[str, int]:
    """Remove the customer's payments and their reports; how many there were. All or nothing in each database.

    Raises `BankError` for a missing secret.
    """
    password = settings.secret("bank_admin_password")
    customer = {"customer": customer_id}
    with psycopg.connect(settings.bank_url, user="postgres", password=password) as bank:
        take_turns(bank)
        ids = [row[0] for row in bank.execute(OWN_IDS, customer).fetchall()]
        # The other database first: after this transaction nothing tells whose payments these were.
        with psycopg.connect(settings.decisions_url, user="postgres", password=password) as decisions:
            scored = decisions.execute(ERASE_SCORED_REPORTS, customer | {"ids": ids}).rowcount
        kind = {"kind": KINDS.index("customer_id")}
        bank.execute(LIST_HASH, customer | kind | {"first_hash": FIRST_HASH})
        erased = {
            table: bank.execute(_erase_from(table, names_customers), customer | {"ids": ids}).rowcount
            for table, names_customers in bank.execute(LANDING_TABLES).fetchall()
        }
        erased["hashed_ids"] = bank.execute(ERASE_HASH, customer | kind).rowcount
    return {NAMES.get(table, table): rows for table, rows in erased.items()} | {"scored_reports": scored}


def _erase_from(table: str, names_customers: bool) -> sql.Composed:
    """The statement that erases the customer's rows, or those of its payments, from a landing table."""
    condition = OF_CUSTOMER if names_customers else OF_PAYMENTS
    return ERASE.format(target=sql.Identifier("bank", table), condition=condition, table=sql.Literal(table))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.erase", description=__doc__)
    parser.add_argument("--customer", type=int, required=True, metavar="ID", help="the customer to forget")
    customer_id = parser.parse_args().customer
    if not -MAX_ID - 1 <= customer_id <= MAX_ID:
        raise BankError(f"--customer {customer_id} is not a valid id: ids have at most 63 bits")
    print(json.dumps(erase(read_settings(), customer_id)))


if __name__ == "__main__":
    run(main)

"""Forget one customer in the bank's tables: `python -m bank.erase --customer ID`.

It may be repeated. The keys of the erased rows are kept, so that loading or replaying the same source does not bring
the customer back. docs/operations.md says what else to run.
"""

from __future__ import annotations

import argparse
import json
from typing import Final

import psycopg

from bank.errors import BankError
from bank.landing import take_turns
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
ERASE_REPORTS: Final = """
with gone as (
    delete from bank.fraud_reports where transaction_id = any(%(ids)s::bigint[]) returning source, source_row
)
insert into bank.erased_rows select 'fraud_reports', source, source_row from gone on conflict do nothing
"""
ERASE_PAYMENTS: Final = """
with gone as (
    delete from bank.transactions where customer_id = %(customer)s returning source, source_row
)
insert into bank.erased_rows select 'transactions', source, source_row from gone on conflict do nothing
"""
ERASE_SCORED_REPORTS: Final = """
delete from serving.fraud_reports as report where transaction_id = any(%(ids)s::bigint[]) and not exists (
    select from serving.decisions as decision
    where decision.transaction_id = report.transaction_id and decision.customer_id <> %(customer)s
)
"""
"""Reports that the scorer took of payments that it did not score: only the bank knows whose they are."""


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
        reports = bank.execute(ERASE_REPORTS, {"ids": ids}).rowcount
        payments = bank.execute(ERASE_PAYMENTS, customer).rowcount
    return {"payments": payments, "reports": reports, "scored_reports": scored}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.erase", description=__doc__)
    parser.add_argument("--customer", type=int, required=True, metavar="ID", help="the customer to forget")
    customer_id = parser.parse_args().customer
    if not -MAX_ID - 1 <= customer_id <= MAX_ID:
        raise BankError(f"--customer {customer_id} is no id: it has more than 63 bits")
    print(json.dumps(erase(read_settings(), customer_id)))


if __name__ == "__main__":
    run(main)

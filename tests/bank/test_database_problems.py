"""A database that answers and refuses: one line says why, and what to do."""

from __future__ import annotations

from threading import Event

import psycopg
import pytest
from psycopg import errors
from tenacity import stop_after_attempt

from bank.feed import SimulatedFeed
from bank.landing import open_bank
from bank.live import Live, Pace
from bank.load import load
from bank.runner import REFUSALS, run
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from bank.simulator import Simulation

WORLD = SimulatedFeed(Simulation(customers=60, terminals=120, days=20, seed=1))
FULL = """
create function bank.full() returns trigger language plpgsql as
    $$ begin raise exception using errcode = '53100', message = 'could not extend file'; end $$;
create trigger full_disk before insert on bank.transactions for each row execute function bank.full()
"""
TROUBLES = {
    "read-only": (
        "alter role bank_feed set default_transaction_read_only = on",
        "alter role bank_feed reset default_transaction_read_only",
        "is read-only: make it writable, or set BANK_URL to the primary",
    ),
    "no disk": (
        FULL,
        "drop trigger full_disk on bank.transactions; drop function bank.full()",
        "has no disk space left: free some",
    ),
    "no permission": (
        "revoke insert on bank.fraud_reports from bank_feed",
        "grant insert on bank.fraud_reports to bank_feed",
        "does not permit this: run `python -m bank.migrate`",
    ),
    "no table": (
        "alter table bank.fraud_reports rename to away",
        "alter table bank.away rename to fraud_reports",
        "restore it from a backup",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_load_says_what_is_wrong_and_loads_nothing(
    bank: psycopg.Connection, settings: Settings, admin: psycopg.Connection, trouble: str
) -> None:
    broken, restored, words = TROUBLES[trouble]

    def main() -> None:
        with open_bank(settings) as own:
            load(own, WORLD, 0)

    admin.execute(broken.encode())
    try:
        with pytest.raises(SystemExit) as ended:
            run(main)
    finally:
        admin.execute(restored.encode())
    assert words in str(ended.value)
    assert str(ended.value).count("\n") == 0
    assert "check BANK_URL" not in str(ended.value)
    found = admin.execute("select count(*) from bank.transactions").fetchone()
    assert found == (0,)
    run(main)


def test_every_refusal_has_a_remedy() -> None:
    for kind, told in REFUSALS.items():

        def refuse(kind: type[psycopg.Error] = kind) -> None:
            raise kind("its own words")

        with pytest.raises(SystemExit) as ended:
            run(refuse)
        assert str(ended.value) == f"error: the bank's database {told} (its own words)"


@pytest.mark.parametrize("error", [errors.ReadOnlySqlTransaction, errors.DiskFull, psycopg.OperationalError])
def test_the_live_replay_waits_for_a_bank_that_takes_nothing(settings: Settings, error: type[psycopg.Error]) -> None:
    tried: list[int] = []

    def work(_: psycopg.Connection) -> str:
        tried.append(1)
        if len(tried) < 3:
            raise error("not now")
        return "done"

    with ScorerClient("http://127.0.0.1:1", "key", stop_after_attempt(1)) as scorer:
        one = Live(settings, scorer, Pace(1e6), lambda _: None, lambda: None, Event())
        assert one.at_the_bank(work) == "done"

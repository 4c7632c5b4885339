"""A scorer that is stopped in the middle of recovery: another one takes over, and the first one resumes later."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import valkey

from contracts.online_state import META_KEY, RECONCILED, REPAIRED_BY, Stamp, customer_key, unpack_history
from tests.serving.conftest import Start
from tests.serving.running import wait_for

DATABASE = 11
CUSTOMERS = 50
DECISIONS = 6_000
"""So many that their replay takes a while."""
FILL = f"""
insert into serving.decisions
select n, n % {CUSTOMERS}, n % 20, 1, timestamptz '2018-09-01' + n * interval '1 second', .5, 'approve', '[]', '1',
    false, '{{}}', '3', n, now()
from generate_series(1, {DECISIONS}) as n
"""


def lengths(state: Any) -> set[int]:
    """The numbers of entries in the customers' histories."""
    return {len(unpack_history(state.get(customer_key(n)))[1]) for n in range(CUSTOMERS)}


def test_another_scorer_finishes_the_recovery(
    start: Start, valkey_server: Any, postgres: Any, make_database: Callable[[Any, str], str], secrets: Path
) -> None:
    url = make_database(postgres, "decisions_of_stopped")
    state: Any = valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=DATABASE)
    stamp = Stamp(written_to="2018-08-31").fields()
    state.flushdb()
    state.hset(META_KEY, mapping=stamp)
    settings = {"VALKEY_URL": f"valkey://127.0.0.1:{valkey_server.port}/{DATABASE}", "DECISIONS_URL": url}
    first = start(**settings)
    assert first.process
    with psycopg.connect(url, user="scorer", password=(secrets / "decisions_password").read_text().strip()) as log:
        log.execute(FILL)
    state.flushdb()
    state.hset(META_KEY, mapping=stamp)
    wait_for(lambda: state.hget(META_KEY, REPAIRED_BY))
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        # In the middle.
        assert not state.hexists(META_KEY, RECONCILED)
        second = start(**settings)
        assert lengths(state) == {DECISIONS // CUSTOMERS}
        assert not second.score(10**9, 1, 1, 100, 1_535_900_000)["degraded"]
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    wait_for(lambda: first.client.get("/readyz").status_code == 200, first.log.read_text)
    assert not first.score(10**9 + 1, 1, 1, 100, 1_535_900_001)["degraded"]
    assert first.features(10**9 + 1)["customer_tx_count_1d"] == second.features(10**9)["customer_tx_count_1d"] + 1

"""One fault after another under constant load: nothing is lost and nothing is duplicated.

After each fault, and at the end, every answered payment is recorded exactly once with its answer, both its histories
match the payments, and the scorer has recovered without help.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import valkey

from contracts.features import FEATURES, customer_features, feature_matrix, payment_features, terminal_features
from contracts.labels import NEVER
from contracts.online_state import CENTS_BITS, DECISIONS_KEY, META_KEY, NOT_REPORTED, Stamp, unpack_history, with_late
from demo.embedded_servers import Server, start_postgres, start_valkey
from tests.faults.attacks import ATTACKS
from tests.faults.clients import Clients, Payment, Told, World
from tests.serving.registry_stub import RegistryStub
from tests.serving.running import KEYS, ScorerProcess, command_of, wait_for

PAYMENTS = int(os.environ.get("PAYMENTS") or 100_000)
CLIENTS = 8
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS") or 10)
ATTACK_SECONDS = 5
SLOWEST_SECONDS = 4
"""No response takes longer during an attack; without one, a busy machine needs some tenths of a second."""
TIMEOUT_SECONDS = 300
"""Seconds: with all cores taken by clients, some 3,000 decisions a second are put back into an empty state."""
START = 1_530_000_000
TOLD = ("score", "decision", "model_version", "degraded", "reasons")


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class System:
    """The scorer, its stores, and its clients."""

    scorer: ScorerProcess
    valkey: Server
    postgres: Server
    decisions: str
    password: str
    clients: Clients

    @property
    def state(self) -> valkey.Valkey:
        """A client of the online state."""
        return valkey.Valkey(port=self.valkey.port, password=self.valkey.password)

    def log(self) -> psycopg.Connection[Any]:
        """A connection to the decision log."""
        return psycopg.connect(self.decisions, user="scorer", password=self.password)

    def ready(self) -> bool:
        """Whether every worker scores with history, each asked over a new connection."""
        try:
            return all(httpx.get(f"http://127.0.0.1:{self.scorer.port}/readyz").status_code == 200 for _ in range(12))
        except httpx.TransportError:
            return False

    def workers(self) -> list[int]:
        """The worker processes."""
        assert self.scorer.process
        mine = children(self.scorer.process.pid)
        return [pid for pid in mine if b"spawn_main" in command_of(pid)]

    def stop_valkey(self) -> None:
        """Kill it, as a power failure would."""
        self.valkey.process.kill()
        self.valkey.process.wait()

    def start_valkey(self) -> None:
        """On what it kept."""
        again = start_valkey(self.valkey.log.parent / "data", self.valkey.password, self.valkey.log, self.valkey.port)
        self.valkey.process = again.process

    def start_postgres(self) -> None:
        """On what it kept."""
        data = self.postgres.log.with_name("data")
        again = start_postgres(data, self.postgres.password, self.postgres.log, self.postgres.port)
        self.postgres.process = again.process


@pytest.fixture(scope="module")
def system(
    start: Callable[..., ScorerProcess],
    tmp_path_factory: pytest.TempPathFactory,
    make_database: Callable[[Any, str], str],
    secrets: Path,
    registry: RegistryStub,
    valkey_server: Any,
    postgres: Any,
) -> Iterator[System]:
    """A scorer with two workers, on a Valkey and a PostgreSQL that tests may stop."""
    folder = tmp_path_factory.mktemp("faults")
    own_valkey = start_valkey(folder / "valkey/data", valkey_server.password, folder / "valkey/log")
    own_postgres = start_postgres(folder / "postgres/data", postgres.password, folder / "postgres/log")
    decisions = make_database(own_postgres, "decisions")
    with valkey.Valkey(port=own_valkey.port, password=own_valkey.password) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-06-01").fields())
    scorer = start(
        VALKEY_URL=f"valkey://127.0.0.1:{own_valkey.port}/0",
        DECISIONS_URL=decisions,
        SCORER_WORKERS="2",
        MLFLOW_TRACKING_URI=registry.url,
    )
    clients = Clients(CLIENTS, scorer.port, KEYS["score"], World(400, 200, START), Told())
    password = (secrets / "decisions_password").read_text().strip()
    yield System(scorer, own_valkey, own_postgres, decisions, password, clients)
    clients.end()
    own_valkey.stop()
    own_postgres.stop()


def under_load(system: System, seconds: float) -> None:
    """Let the clients run for some seconds."""
    system.clients.go()
    time.sleep(seconds)
    system.clients.raise_errors()


def settle(system: System) -> None:
    """Pause the clients, wait until the scorer has recovered and nothing is queued, and check everything."""
    system.clients.hold()
    wait_for(system.ready, system.scorer.log.read_text, patience=TIMEOUT_SECONDS)
    with system.state as state:
        wait_for(lambda: state.xlen(DECISIONS_KEY) == 0, system.scorer.log.read_text, patience=TIMEOUT_SECONDS)
        check_decisions(system)
        check_histories(system, state)


def check_decisions(system: System) -> None:
    """Every answer that a client received is the recorded one."""
    told = system.clients.told
    with system.log() as log:
        rows = log.execute(
            "select transaction_id, score, decision, model_version, degraded, reasons, customer_id, terminal_id,"
            " (amount * 100)::bigint, extract(epoch from occurred_at)::bigint from serving.decisions"
        ).fetchall()
        numbers = log.execute("select count(distinct applied), min(applied) from serving.decisions").fetchone()
        assert numbers == (len(rows), 1), "each payment has its own sequence number"
        assert log.execute("select count(*) from serving.unapplied").fetchone() == (0,)
    recorded = {row[0]: dict(zip(TOLD, row[1:6], strict=True)) for row in rows}
    assert {row[0]: (row[0], *row[6:]) for row in rows} == told.payments
    assert len(rows) == len(recorded)
    wrong = [
        (answer, recorded[number])
        for number, answers in told.answers.items()
        for answer in answers
        if answer != {"transaction_id": number} | recorded[number]
    ]
    assert not wrong, f"{len(wrong)} answers are not the recorded ones, first {wrong[:3]}"


def check_histories(system: System, state: valkey.Valkey) -> None:
    """Each history holds the answered payments, each once, in order of position."""
    expected: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for number, customer, terminal, cents, second in system.clients.told.payments.values():
        expected[f"c:{customer}"].append((second, number, cents))
        expected[f"t:{terminal}"].append((second, number, NOT_REPORTED << CENTS_BITS | cents))
    for key, mine in expected.items():
        kept, late = state.get(key) or b"", state.get(f"{key}:late") or b""
        _, entries = unpack_history(with_late(kept, late))
        assert entries.tolist() == sorted(mine), key


def replay(payments: list[Payment], asked: Payment) -> np.ndarray[Any, Any]:
    """The kernel's features of one payment, from all payments answered before it."""

    def history(place: int) -> tuple[np.ndarray[Any, Any], ...]:
        mine = sorted((p for p in payments if p[place] == asked[place]), key=lambda p: (p[4], p[0]))
        mine = [p for p in mine if (p[4], p[0]) <= (asked[4], asked[0])]
        columns = np.array([(p[4], p[3]) for p in mine], dtype=np.int64).T
        return np.zeros(len(mine), dtype=np.int64), columns[0], columns[1], np.array([len(mine) - 1])

    entity, occurred, cents, rows = history(1)
    customer = customer_features(entity, occurred, cents, rows)
    entity, occurred, cents, rows = history(2)
    terminal = terminal_features(entity, occurred, cents, np.full(len(cents), NEVER), rows)
    own = payment_features(np.array([asked[4]]), np.array([asked[3]]))
    return feature_matrix(own | customer | terminal)[0]


def probe(system: System, count: int = 50) -> None:
    """Score payments without load, and compare their features with a replay."""
    told = system.clients.told
    last = max(second for *_, second in told.payments.values())
    for n in range(count):
        payment = (10**12 + len(told.payments), n * 7 % 400, n * 3 % 200, 5_000 + n, last + n)
        answer = system.scorer.score(*payment)
        assert not answer["degraded"]
        told.take([payment], [answer], 0.0)
        found = system.scorer.features(payment[0])
        expected = dict(zip(FEATURES, replay(list(told.payments.values()), payment).tolist(), strict=True))
        assert found == pytest.approx(expected, rel=1e-12)


@contextmanager
def load(system: System, seconds_after: float = 2) -> Iterator[None]:
    """Keep the load up during a fault and for a while after it, then check everything. No request is rejected."""
    before = system.clients.told.refused.copy()
    system.clients.go()
    yield
    # Recovery happens under load as well.
    wait_for(system.ready, system.scorer.log.read_text, patience=TIMEOUT_SECONDS)
    under_load(system, seconds_after)
    settle(system)
    assert system.clients.told.refused == before


def test_without_a_fault(system: System) -> None:
    with load(system):
        under_load(system, OUTAGE_SECONDS / 2)
    probe(system)


def test_valkey_is_killed_and_restarted_on_its_data(system: System) -> None:
    with load(system):
        system.stop_valkey()
        under_load(system, OUTAGE_SECONDS)
        system.start_valkey()
    assert any(answers[0]["degraded"] for answers in system.clients.told.answers.values())
    probe(system)


def test_valkey_does_not_answer(system: System) -> None:
    with load(system):
        os.kill(system.valkey.process.pid, signal.SIGSTOP)
        under_load(system, OUTAGE_SECONDS)
        os.kill(system.valkey.process.pid, signal.SIGCONT)
    probe(system)


def test_postgresql_is_down(system: System) -> None:
    with load(system):
        system.postgres.stop()
        under_load(system, OUTAGE_SECONDS)
        system.start_postgres()


def test_postgresql_does_not_answer(system: System) -> None:
    # Each of its connections is served by a separate process.
    processes = [system.postgres.process.pid, *children(system.postgres.process.pid)]
    with load(system):
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        under_load(system, OUTAGE_SECONDS)
        told = httpx.get(f"http://127.0.0.1:{system.scorer.port}/readyz", timeout=4)
        assert (told.status_code, told.json()["degraded"]) == (200, True)
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def test_valkey_loses_its_data_and_is_rewritten(system: System) -> None:
    with load(system), system.state as state:
        state.flushall()
        under_load(system, OUTAGE_SECONDS / 2)
        assert not system.ready()
        state.hset(META_KEY, mapping=Stamp(written_to="2018-06-01").fields())
    probe(system)


def test_workers_are_killed(system: System) -> None:
    with load(system):
        for worker in system.workers():
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: len(system.workers()) == 2 and system.ready(), patience=60)
            under_load(system, 2)


def test_the_scorer_is_stopped_and_restarted(system: System) -> None:
    under_load(system, 1)
    assert system.scorer.stop() == 0
    # Every accepted payment was answered: nothing is stored without an answer.
    with system.state as state, system.log() as log:
        kept = {json.loads(entry[b"decision"])["transaction_id"] for _, entry in state.xrange(DECISIONS_KEY)}
        kept |= {number for (number,) in log.execute("select transaction_id from serving.decisions")}
    wait_for(lambda: kept <= system.clients.told.payments.keys(), patience=5)
    system.scorer.start(ready=False)
    under_load(system, 2)
    settle(system)


def test_only_with_both_stores_down_is_there_no_answer(system: System) -> None:
    told = system.clients.told
    told.refused.clear()
    system.clients.go()
    system.stop_valkey()
    system.postgres.stop()
    under_load(system, 1)
    answered = len(told.payments)
    under_load(system, OUTAGE_SECONDS / 2)
    assert len(told.payments) == answered
    assert set(told.refused) == {503}
    system.start_postgres()
    system.start_valkey()
    under_load(system, 2)
    settle(system)


# After the outages: the fewer payments there are, the sooner an empty state is rewritten.
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_does_not_keep_others_waiting(system: System, attack: str) -> None:
    told = system.clients.told
    before, told.slowest = set(told.answers), 0.0
    with load(system, seconds_after=0):
        ATTACKS[attack](system.scorer.port, KEYS["all"], ATTACK_SECONDS)
        system.clients.raise_errors()
        slowest = told.slowest
    print(f"{attack}: the slowest response took {slowest:.2f} s")
    assert slowest < SLOWEST_SECONDS
    answers = [told.answers[number][0] for number in told.answers.keys() - before]
    assert answers
    assert not any(answer["degraded"] for answer in answers)


def test_load_continues_until_there_are_enough_payments(system: System) -> None:
    told = system.clients.told
    with load(system):
        while len(told.payments) < PAYMENTS:
            under_load(system, 1)
    probe(system)
    print(Counter(answers[0]["degraded"] for answers in told.answers.values()), told.slowest)

"""The features over HTTP, compared with their definitions in plain Python."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import valkey

from contracts.labels import NEVER
from contracts.online_state import customer_key, pack_entries, pack_reported, pack_second, payment_key, terminal_key
from serving.online_store.store import Claim
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment
from tests.feature_definitions import DAY
from tests.serving.reference import Bank
from tests.serving.running import ScorerProcess

T = 1_533_000_000
Fresh = Callable[[], int]


def equal(found: dict[str, float], expected: dict[str, float]) -> bool:
    return found == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_feature_over_two_months(scorer: ScorerProcess, fresh: Fresh, seed: int) -> None:
    """Single payments and batches, many in the same second, with reports in between, some late."""
    rng, bank = random.Random(seed), Bank()
    customers, terminals = [fresh() for _ in range(3)], [fresh() for _ in range(3)]
    second = T
    expected: dict[int, dict[str, float]] = {}
    while second < T + 60 * DAY:
        second += rng.choice([0, 0, 1, 3_600, DAY // 2, DAY])
        payments = [
            (fresh(), rng.choice(customers), rng.choice(terminals), rng.randrange(1, 200_000), second + n // 2)
            for n in range(rng.choice([1, 1, 4]))
        ]
        for payment in payments:
            expected[payment[0]] = bank.features(payment)
            bank.payments.append(payment)
        second = payments[-1][4]
        if len(payments) == 1:
            scorer.score(*payments[0])
        else:
            scorer.batch(rng.sample(payments, len(payments)))
        if rng.random() < 0.4:
            reported = rng.choice(bank.payments)[0]
            bank.report(reported, second + 1)
            scorer.report((reported, second + 1))
            second += 1
    assert len(expected) > 100
    assert any(features["terminal_fraud_rate_7d"] > 0 for features in expected.values())
    for number, features in expected.items():
        assert equal(scorer.features(number), features), number


def test_a_report_in_the_same_second_as_a_payment_comes_before_it(scorer: ScorerProcess, fresh: Fresh) -> None:
    terminal, fraud, now = fresh(), fresh(), T + 7 * DAY
    scorer.score(fraud, fresh(), terminal, 100, T)
    scorer.report((fraud, now))
    numbers = [fresh(), fresh()]
    scorer.batch([(numbers[0], fresh(), terminal, 100, now - 1), (numbers[1], fresh(), terminal, 100, now)])
    assert [scorer.features(number)["terminal_fraud_rate_1d"] for number in numbers] == [0, 1]


def test_the_same_second_is_ordered_by_id(scorer: ScorerProcess, fresh: Fresh) -> None:
    customer, low, high = fresh(), fresh(), fresh()
    scorer.batch([(high, customer, fresh(), 200, T), (low, customer, fresh(), 100, T)])
    assert scorer.features(low)["customer_tx_count_1d"] == 1
    assert scorer.features(high)["customer_tx_count_1d"] == 2


def test_a_late_payment_is_scored_as_of_its_own_time_and_changes_no_answer(scorer: ScorerProcess, fresh: Fresh) -> None:
    customer, terminal = fresh(), fresh()
    bank = Bank([(fresh(), customer, terminal, 1_000 + n, T + n * 3_600) for n in range(8)])
    answers = [scorer.score(*payment) for payment in bank.payments]
    before = [scorer.features(payment[0]) for payment in bank.payments]
    late = (fresh(), customer, terminal, 77_700, T + 4 * 3_600 + 5)
    expected = bank.features(late)
    scorer.score(*late)
    assert equal(scorer.features(late[0]), expected)
    assert expected["customer_tx_count_1d"] == 6
    assert [scorer.score(*payment) for payment in bank.payments] == answers
    assert [scorer.features(payment[0]) for payment in bank.payments] == before
    bank.payments.append(late)
    follower = (fresh(), customer, terminal, 100, T + 8 * 3_600)
    scorer.score(*follower)
    assert equal(scorer.features(follower[0]), bank.features(follower))


@pytest.mark.parametrize(("days_late", "degraded"), [(0, False), (1, False), (9, True), (60, True)])
def test_a_payment_later_than_the_kept_history_is_degraded(
    scorer: ScorerProcess, fresh: Fresh, days_late: int, degraded: bool
) -> None:
    customer, now = fresh(), T + 100 * DAY
    bank = Bank([(fresh(), customer, fresh(), 100, now - n * DAY) for n in range(80, -1, -1)])
    scorer.batch(bank.payments)
    late = (fresh(), customer, fresh(), 500, now - days_late * DAY + 10)
    answer = scorer.score(*late)
    assert answer["degraded"] == degraded
    if not degraded:
        assert equal(scorer.features(late[0]), bank.features(late))
    else:
        assert scorer.features(late[0])["customer_tx_count_1d"] >= 1


def test_history_written_from_the_lake(scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh) -> None:
    customer, terminal, ids = fresh(), fresh(), [fresh() for _ in range(3)]
    seconds = np.array([T - 9 * DAY, T - 8 * DAY, T - 100])
    cents, reported = np.array([100, 300, 500]), np.array([T - 1, NEVER, NEVER])
    floor = pack_second(T - 60 * DAY)
    state.set(customer_key(customer), floor + pack_entries(seconds, np.array(ids), cents).tobytes())
    state.set(
        terminal_key(terminal), floor + pack_entries(seconds, np.array(ids), pack_reported(cents, reported)).tobytes()
    )
    payment = (fresh(), customer, terminal, 700, T)
    answer = scorer.score(*payment)
    bank = Bank([(n, customer, terminal, int(c), int(s)) for n, c, s in zip(ids, cents, seconds, strict=True)])
    bank.report(ids[0], T - 1)
    assert equal(scorer.features(payment[0]), bank.features(payment))
    assert not answer["degraded"]
    # The same payment, known to the lake and reported there, is scored now: its report stays.
    scorer.score(ids[2], customer, terminal, 500, T - 100)
    follower = (fresh(), customer, terminal, 100, T + 8 * DAY)
    bank.payments.append(payment)
    scorer.score(*follower)
    assert equal(scorer.features(follower[0]), bank.features(follower))


def test_a_floor_inside_a_payment_s_window_makes_it_degraded(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    answers = []
    for floor in (T - 37 * DAY, T - 37 * DAY + 1):
        terminal = fresh()
        entries = pack_entries(np.array([T - 50]), np.array([fresh()]), pack_reported(np.array([1]), np.array([NEVER])))
        state.set(terminal_key(terminal), pack_second(floor) + entries.tobytes())
        answers.append(scorer.score(fresh(), fresh(), terminal, 100, T)["degraded"])
    assert answers == [False, True]


def test_of_two_payments_at_once_one_sees_the_other(scorer: ScorerProcess, state: Any, fresh: Fresh) -> None:
    for _ in range(20):
        customer = fresh()
        payments = [(fresh(), customer, fresh(), 100, T) for _ in range(2)]
        barrier = threading.Barrier(2)

        def post(payment: Any, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            scorer.score(*payment)

        clients = [threading.Thread(target=post, args=[payment]) for payment in payments]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        counts = [scorer.features(payment[0])["customer_tx_count_1d"] for payment in payments]
        # The later id sees the earlier one, unless it came first: then the earlier one was late for it.
        first_applied = min(payments, key=lambda payment: int(state.hget(payment_key(payment[0]), "applied")))
        assert counts == ([1, 2] if first_applied == payments[0] else [1, 1])


def test_one_call_for_many_payments_equals_many_calls() -> None:
    rng = np.random.default_rng(5)
    claims = []
    for n in range(40):
        seconds = np.sort(rng.integers(T - 40 * DAY, T, 30))
        ids = np.arange(30) + 100
        at = int(rng.integers(0, 30))
        values = rng.integers(1, 9_000, 30)
        payment = Payment(int(ids[at]), n, n, int(values[at]), int(seconds[at]))
        reported = np.where(rng.random(30) < 0.5, seconds + 8 * DAY, NEVER)
        customer = pack_second(0) + pack_entries(seconds, ids, values).tobytes()
        terminal = pack_second(0) + pack_entries(seconds, ids, pack_reported(values, reported)).tobytes()
        claims.append(Claim(payment, n, customer, terminal))
    together = compute_features(claims)
    singly = [compute_features([claim]) for claim in claims]
    assert np.array_equal(together.matrix, np.vstack([one.matrix for one in singly]))
    assert together.late.tolist() == [bool(one.late[0]) for one in singly]
    assert together.late.any()
    assert not together.late.all()


@pytest.mark.parametrize("extra", [b"\0" * 8, b"\0" * 16, b"\0"])
def test_a_damaged_history_is_an_error(extra: bytes) -> None:
    """The compiled kernel would read and write past its arrays."""
    payment = Payment(1, 2, 3, 400, T)
    customer, terminal = (bytes(8) + entry for entry in (payment.customer_entry, payment.terminal_entry))
    assert compute_features([Claim(payment, 1, customer, terminal)]).matrix.shape == (1, 32)
    for damaged in ((extra + customer, terminal), (customer, bytes(8) + extra + terminal[8:])):
        with pytest.raises(ValueError, match="not its floor and whole entries"):
            compute_features([Claim(payment, 1, *damaged)])

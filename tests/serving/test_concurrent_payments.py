"""Concurrent payments: each gets its own answer, whichever payments share its round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.serving.running import ScorerProcess, body

T = 1_535_600_000
Fresh = Callable[[], int]


def post_all(scorer: ScorerProcess, payments: list[tuple[int, int, int, int, int]]) -> list[tuple[int, dict[str, Any]]]:
    """Post each body in a separate thread; returns statuses and bodies, in order."""

    def post(payment: tuple[int, int, int, int, int]) -> tuple[int, dict[str, Any]]:
        answer = scorer.client.post("/v1/score", json=body(*payment))
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(max_workers=len(payments)) as pool:
        return list(pool.map(post, payments))


def test_a_conflict_affects_only_its_own_payment(scorer: ScorerProcess, fresh: Fresh) -> None:
    known = (fresh(), fresh(), fresh(), 500, T)
    scorer.score(*known)
    payments = [(fresh(), fresh(), fresh(), 700 + n, T + n) for n in range(30)]
    for at in (3, 17, 25):
        payments[at] = (known[0], known[1], known[2], 501, T)
    answers = post_all(scorer, payments)
    assert Counter(status for status, _ in answers) == {200: 27, 409: 3}
    for (number, *_), (status, answer) in zip(payments, answers, strict=True):
        assert status == 409 or answer["transaction_id"] == number


def test_the_same_payment_many_times_at_once_has_one_answer_and_counts_once(
    scorer: ScorerProcess, fresh: Fresh
) -> None:
    payment = (fresh(), fresh(), fresh(), 600, T)
    answers = post_all(scorer, [payment] * 30)
    assert {status for status, _ in answers} == {200}
    assert len({str(answer) for _, answer in answers}) == 1
    follower = (fresh(), payment[1], payment[2], 800, T + 1)
    scorer.score(*follower)
    assert scorer.features(follower[0])["customer_tx_count_1d"] == 2


def test_concurrent_payments_of_a_customer_see_the_earlier_ones(scorer: ScorerProcess, fresh: Fresh) -> None:
    customer, terminal = fresh(), fresh()
    payments = [(fresh(), customer, terminal, 1_000 + n, T + n) for n in range(20)]
    assert {status for status, _ in post_all(scorer, payments)} == {200}
    for n, (number, *_) in enumerate(payments):
        # A payment that came later with an earlier time was not visible yet.
        assert 1 <= scorer.features(number)["customer_tx_count_1d"] <= n + 1
    last = (fresh(), customer, terminal, 900, T + 60)
    scorer.score(*last)
    assert scorer.features(last[0])["customer_tx_count_1d"] == 21

"""A terminal with more payments in its horizon than a history may hold: it is degraded, and it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import valkey

from contracts.online_state import terminal_key
from tests.serving.running import ScorerProcess
from tests.serving.test_long_histories import fill
from tests.serving.test_online_store import T

Fresh = Callable[[], int]


@pytest.mark.parametrize("payments", [1, 250])
def test_a_terminal_with_too_many_payments_is_degraded_alone(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh, payments: int
) -> None:
    busy = fresh()
    fill(state, busy, 100_000)
    others: list[Any] = [(fresh(), fresh(), fresh(), 100, T + n) for n in range(20)]
    scorer.batch([*((fresh(), fresh(), busy, 100, T + n) for n in range(payments)), *others])
    assert [scorer.score(*other)["degraded"] for other in others] == [False] * 20
    # It was cut to what it may hold.
    assert state.strlen(terminal_key(busy)) <= 24 * 50_000 + 8
    assert scorer.score(fresh(), fresh(), busy, 100, T + 1_000)["degraded"]
    assert not scorer.score(fresh(), fresh(), fresh(), 100, T + 1_000)["degraded"]

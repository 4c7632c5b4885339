"""Recoveries of the online store end in the store itself: only the latest one, and only of the data it recovered."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest

from contracts.online_state import (
    APPLIED_BEFORE_RECOVERY,
    APPLIED_KEY,
    META_KEY,
    RECONCILED,
    RECOVERED_RUN,
    REPORTS_KEY,
    terminal_key,
)
from serving.errors import OnlineStoreUnavailableError
from serving.online_store.store import ValkeyOnlineStore
from serving.recovery.replay import needed_since
from serving.scoring.report import Report, by_terminal
from tests.serving.test_online_store import T, ask, state

__all__ = ["state"]


def test_a_recovery_that_another_scorer_took_over_cannot_end(valkey_server: Any, state: Any) -> None:
    async def two(online: ValkeyOnlineStore) -> None:
        await online.pin_run()
        stopped = await online.start_recovery()
        other = await online.start_recovery()
        with pytest.raises(OnlineStoreUnavailableError, match="took over"):
            await online.finish_recovery(stopped, lost=True)
        assert await online.reconciliation_id() == b"1"
        await online.finish_recovery(other, lost=True)
        assert await online.reconciliation_id() != b"1"
        with pytest.raises(OnlineStoreUnavailableError):
            await online.finish_recovery(other, lost=True)

    ask(valkey_server, two)


def test_a_recovery_of_data_that_was_lost_meanwhile_cannot_end(valkey_server: Any, state: Any) -> None:
    stamp = {name: value for name, value in state.hgetall(META_KEY).items() if name != RECONCILED.encode()}

    async def recover(online: ValkeyOnlineStore) -> None:
        token = await online.start_recovery()
        state.flushdb()
        state.hset(META_KEY, mapping=stamp)
        with pytest.raises(OnlineStoreUnavailableError, match="lost its data"):
            await online.finish_recovery(token, lost=True)
        assert await online.reconciliation_id() == b""

    ask(valkey_server, recover)


def test_the_end_of_a_recovery_notes_the_run_and_forgets_the_counter(valkey_server: Any, state: Any) -> None:
    async def recover(online: ValkeyOnlineStore) -> str:
        run = await online.pin_run()
        assert await online.recovered_run() == ""
        token = await online.start_recovery()
        await online.advance_sequence(5, forgotten=True)
        assert await online.applied_before_recovery() == 0
        await online.finish_recovery(token, lost=False)
        assert (await online.applied_before_recovery(), await online.reconciliation_id()) == (None, b"1")
        return run

    assert ask(valkey_server, recover) == state.hget(META_KEY, RECOVERED_RUN).decode()


def test_without_a_stamp_a_recovery_leaves_none(valkey_server: Any, state: Any) -> None:
    state.delete(META_KEY)
    with pytest.raises(OnlineStoreUnavailableError, match="lost its data"):
        ask(valkey_server, ValkeyOnlineStore.start_recovery)
    ask(valkey_server, partial(ValkeyOnlineStore.advance_sequence, recorded=5, forgotten=True))
    # The job that writes the state rejects a stamp without a format.
    assert not state.exists(META_KEY)
    assert int(state.get(APPLIED_KEY)) > 5


def test_a_report_is_not_accepted_by_a_state_that_may_forget_it(valkey_server: Any, state: Any) -> None:
    state.hdel(META_KEY, RECONCILED)
    with pytest.raises(OnlineStoreUnavailableError):
        ask(valkey_server, partial(ValkeyOnlineStore.accept_reports, reports=[Report(1, T + 9, (7, T, 100))]))
    assert not state.exists(terminal_key(7), REPORTS_KEY, APPLIED_KEY)


def test_accepted_reports_are_merged_numbered_and_in_the_outbox(valkey_server: Any, state: Any) -> None:
    reports = [Report(n, T + 9, (n % 3, T, 100)) for n in range(10)]
    accepted = ask(valkey_server, partial(ValkeyOnlineStore.accept_reports, reports=reports))
    ((_, fields),) = state.xrange(REPORTS_KEY)
    assert {report.applied for report in accepted} == {int(fields[b"applied"])} == {int(state.get(APPLIED_KEY))}
    merged = {n: state.get(terminal_key(n))[8:] for n in range(3)}
    assert merged == by_terminal(reports)
    assert state.hget(META_KEY, APPLIED_BEFORE_RECOVERY) is None


def test_entries_of_reports_are_in_order_with_the_earliest_of_each_payment() -> None:
    reports = [
        Report(2, 90, (1, 50, 100)),
        Report(2, 80, (1, 50, 100)),
        Report(1, 70, (1, 50, 3)),
        Report(3, 9, (2, 7, 1)),
    ]
    packed = by_terminal(reversed(reports))
    assert packed == {1: reports[2].entry + reports[1].entry, 2: reports[3].entry}
    assert [Report.recorded(report.as_row()) for report in reports] == reports


def test_what_an_empty_state_needs_depends_on_the_day_it_was_written_for() -> None:
    assert needed_since(date(2018, 8, 31)) == datetime(2018, 7, 24, tzinfo=UTC)
    assert needed_since(date(1970, 1, 5)) == needed_since(date.min) == needed_since(None)

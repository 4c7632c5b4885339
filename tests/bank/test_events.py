"""Runs of events that can be sent at the same time."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bank.events import Event, independent_runs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def payment(number: int, customer: int, terminal: int) -> Event:
    row = {"transaction_id": number, "customer_id": customer, "terminal_id": terminal}
    return Event(NOON, True, "a", row)


def report(number: int) -> Event:
    return Event(NOON, False, "a", {"transaction_id": number})


ids = st.integers(1, 6)
events = st.lists(st.one_of(st.builds(payment, ids, ids, ids), st.builds(report, ids)), max_size=40)


@given(events, st.integers(1, 5))
def test_runs_keep_the_order_and_no_two_payments_of_a_run_have_anything_in_common(
    given_events: list[Event], at_most: int
) -> None:
    runs = list(independent_runs(given_events, at_most))
    assert [event for run in runs for event in run] == given_events
    for run in runs:
        assert 1 <= len(run) <= at_most
        assert len(run) == 1 or all(event.is_payment for event in run)
        for name in ("transaction_id", "customer_id", "terminal_id"):
            assert len({event.row[name] for event in run if event.is_payment}) in (0, len(run))


def test_a_run_is_as_long_as_it_can_be() -> None:
    first, second, same_terminal, last = payment(1, 1, 1), payment(2, 2, 2), payment(3, 3, 2), payment(4, 4, 4)
    runs = list(independent_runs([first, second, same_terminal, report(1), last], 10))
    assert runs == [[first, second], [same_terminal], [report(1)], [last]]

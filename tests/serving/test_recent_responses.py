"""Answers stay in memory until they are known to be in the decision log; what is unconfirmed has a limit."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from serving.recovery.recent_responses import RecentResponses
from serving.recovery.unconfirmed import ENTRY_BYTES, Unconfirmed
from serving.scoring.decision_records import pack

steps = st.lists(st.tuples(st.sampled_from(["add", "confirm"]), st.integers(0, 5)), max_size=60)


@given(steps=steps)
def test_what_is_not_confirmed_is_kept_in_any_order_of_answers_and_confirmations(steps: list[tuple[str, int]]) -> None:
    recent, unconfirmed, latest = RecentResponses(max_confirmed=2), dict[int, bytes](), dict[int, bytes]()
    for n, (step, number) in enumerate(steps):
        if step == "add":
            unconfirmed.pop(number, None)
            unconfirmed[number] = latest[number] = str(n).encode()
            recent.add(number, latest[number])
        else:
            unconfirmed.pop(number, None)
            recent.confirm([number])
    assert recent.unconfirmed.oldest() == list(unconfirmed)
    assert {number: recent.get(number) for number in unconfirmed} == unconfirmed
    everything = recent.all()
    assert len(set(everything)) == len(everything)
    assert everything[len(everything) - len(unconfirmed) :] == list(unconfirmed)
    assert all(recent.get(number) == latest[number] for number in everything)


def test_the_newest_confirmed_answers_are_kept_for_repeats() -> None:
    recent = RecentResponses(max_confirmed=2)
    for number in range(4):
        recent.add(number, str(number).encode())
    recent.confirm([0, 2, 1])
    assert [recent.get(number) for number in range(4)] == [None, b"1", b"2", b"3"]
    assert recent.all() == [2, 1, 3]


def test_the_oldest_are_dropped_and_counted_beyond_the_limit() -> None:
    kept = Unconfirmed[str](max_bytes=2 * (ENTRY_BYTES + 10))
    for key in "abc":
        kept.add(key, b"0123456789")
    assert (kept.oldest(), kept.dropped, len(kept)) == (["b", "c"], 1, 2)
    # Confirmed ones make room, and so does a smaller value.
    kept.confirm(["b", "unknown"])
    kept.add("c", b"")
    kept.add("d", b"0123456789")
    assert (kept.oldest(), kept.dropped) == (["c", "d"], 1)
    assert kept.oldest(1) == ["c"]


def test_a_kept_response_takes_no_more_memory_than_it_has_bytes() -> None:
    """The limits count bytes; what a JSON library returns may have room for many more."""
    record = {f"feature_{n}": n / 7 for n in range(40)}
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        packed = [pack(record) for _ in range(1_000)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 1_000 < len(packed[0]) + 100

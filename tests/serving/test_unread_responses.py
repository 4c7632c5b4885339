"""Clients that do not read, or read very slowly, are given up; those that read are not."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from serving.middleware.unread_responses import MAX_UNREAD_BYTES, READ_BYTES, UnreadResponses

SECONDS = 30
LARGE = MAX_UNREAD_BYTES // 4


def closed(unread: UnreadResponses[str], now: float, **left: int) -> dict[str, str]:
    return dict(unread.given_up(left, now, SECONDS))


def test_a_client_must_read_some_in_time() -> None:
    unread = UnreadResponses[str]()
    assert not closed(unread, 0, slow=LARGE, quick=LARGE)
    assert not closed(unread, 29, slow=LARGE - READ_BYTES + 1, quick=LARGE - READ_BYTES)
    assert closed(unread, 31, slow=LARGE - READ_BYTES + 1, quick=LARGE - READ_BYTES) == {
        "slow": "a response was not read within 30 s"
    }


def test_together_they_leave_no_more_than_a_total_unread() -> None:
    unread = UnreadResponses[str]()
    sizes = {f"slow{number}": LARGE + number for number in range(6)}
    assert not closed(unread, 0, **sizes), "all may just have begun"
    assert set(closed(unread, 5, **sizes)) == {"slow5", "slow4", "slow3"}


def test_a_client_that_reads_is_not_given_up_for_the_others() -> None:
    unread = UnreadResponses[str]()
    slow = {f"slow{number}": LARGE for number in range(6)}
    for step in range(5):
        assert "quick" not in closed(unread, 5 * step, quick=2 * LARGE - step * READ_BYTES, **slow)


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, MAX_UNREAD_BYTES)), max_size=12))
def test_what_nobody_reads_is_bounded_after_two_looks(looks: list[Mapping[str, int]]) -> None:
    unread, before = UnreadResponses[str](), dict[str, int]()
    for now, left in enumerate(looks):
        gone = closed(unread, now, **left)
        after = {one: size for one, size in left.items() if one not in gone}
        if any(size and before.get(one) == size for one, size in after.items()):
            assert sum(after.values()) <= MAX_UNREAD_BYTES
        before = after

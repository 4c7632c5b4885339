"""Which connection gives way to a new one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from serving.middleware.connection_share import ConnectionShare

MOST = 6


def share_of(*keys: str, spare: str = "") -> ConnectionShare[str]:
    """Connections "a0", "a1", ... of the keys, in this order; those named in `spare` serve no request."""
    share: ConnectionShare[str] = ConnectionShare(lambda one: one in spare.split())
    numbers = Counter[str]()
    for key in keys:
        one = f"{key}{numbers[key]}"
        numbers[key] += 1
        share.opened(one)
        if key != "stranger":
            share.accepted(one, key)
    share.opened("new")
    return share


def test_strangers_go_first_the_oldest_before_the_others() -> None:
    assert share_of("a", "stranger", "stranger", spare="a0").gives_way("new", MOST) == "stranger0"


def test_then_a_spare_one_of_the_key_with_the_most() -> None:
    assert share_of("a", "b", "b", spare="a0 b1").gives_way("new", MOST) == "b1"


def test_then_any_of_a_key_that_has_more_than_half() -> None:
    assert share_of("a", *"bbbb", spare="a0").gives_way("new", MOST) == "b0"


def test_then_a_spare_one_of_another_key_or_the_new_one() -> None:
    assert share_of(*"aabb", "c", spare="c0").gives_way("new", MOST) == "c0"
    assert share_of(*"aabb", "c").gives_way("new", MOST) == "new"


def test_the_few_without_a_key_are_spared_while_one_key_has_more_than_half() -> None:
    # They may be the first connections of another key, which has yet to send its request.
    many = ["a"] * 15
    assert share_of(*many, "stranger", spare="a3").gives_way("new", 20) == "a3"
    assert share_of(*many, "stranger").gives_way("new", 20) == "stranger0"
    assert share_of(*many, "stranger", "stranger", spare="a3").gives_way("new", 20) == "stranger0"


def test_a_closed_connection_is_forgotten() -> None:
    share = share_of("a", "stranger")
    share.closed("a0")
    share.closed("stranger0")
    share.closed("stranger0")
    share.accepted("stranger0", "a")
    assert share.gives_way("new", 0) == "new"


@given(st.lists(st.sampled_from(["many"] * 9 + ["one"]), min_size=1, max_size=60))
def test_a_key_that_opens_connections_without_end_does_not_keep_another_one_out(keys: list[str]) -> None:
    share: ConnectionShare[int] = ConnectionShare(lambda _: False)
    open_ones: dict[int, str] = {}
    for one, key in enumerate(keys):
        share.opened(one)
        open_ones[one] = key
        if len(open_ones) > MOST:
            gone = share.gives_way(one, MOST)
            share.closed(gone)
            del open_ones[gone]
            assert gone != one or Counter(open_ones.values())["many"] <= MOST // 2
        if one in open_ones:
            share.accepted(one, key)
    assert len(open_ones) <= MOST

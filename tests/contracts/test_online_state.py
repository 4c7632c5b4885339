"""The script that merges into a history, on a real Valkey, compared with a dictionary."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import valkey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.labels import NEVER
from contracts.online_state import (
    MERGE_LUA,
    Stamp,
    pack_entries,
    pack_reported,
    pack_second,
    unpack_history,
    unpack_reported,
)

BIG = 2**63 - 1
KEEP = 100

Entry = tuple[int, int, int]
entries = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 300), st.integers(2**33, 2**33 + 50)),
        st.one_of(st.integers(0, 3), st.integers(BIG - 2, BIG), st.integers(2**53, 2**53 + 2)),
        st.sampled_from([0, 5, 2**53 + 1, NEVER]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: entry[:2],
)


@pytest.fixture(scope="module")
def client(valkey_server: Any) -> Iterator[valkey.Valkey]:
    with valkey.Valkey(host="127.0.0.1", port=valkey_server.port, password=valkey_server.password) as client:
        yield client


def merge(client: valkey.Valkey, batch: list[Entry], floor: int = 0, slack: int = 0, keep: int = KEEP) -> bytes:
    script = MERGE_LUA + "return merge(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))"
    ordered = np.array(sorted(batch), dtype=np.int64).reshape(-1, 3)
    packed = pack_entries(*ordered.T).tobytes()
    history: bytes = client.eval(script, 1, "c:test", pack_second(floor), packed, keep, slack)
    assert client.get("c:test") == history
    return history


@pytest.mark.parametrize("slack", [0, 60])
@given(st.lists(st.tuples(entries, st.integers(0, 250)), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_is_a_union_by_position_cut_to_the_horizon(
    client: valkey.Valkey, slack: int, batches: list[tuple[list[Entry], int]]
) -> None:
    client.delete("c:test")
    kept: dict[tuple[int, int], int] = {}
    floor = 0
    for batch, reads_from in batches:
        found_floor, found = unpack_history(merge(client, batch, reads_from, slack))
        floor = max(floor, reads_from)
        for occurred, number, value in batch:
            kept[occurred, number] = min(value, kept.get((occurred, number), NEVER))
        cut = max(kept)[0] - KEEP
        if min(kept)[0] <= cut - slack:
            floor = max([floor, *(position[0] for position in kept if position[0] <= cut)])
            kept = {position: value for position, value in kept.items() if position[0] > cut}
        assert [tuple(entry) for entry in found.tolist()] == [(*position, kept[position]) for position in sorted(kept)]
        assert found_floor == floor


@given(st.lists(entries, min_size=1, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_again_and_in_any_order_gives_the_same_history(
    client: valkey.Valkey, batches: list[list[Entry]], rng: random.Random
) -> None:
    keep = 2**40

    def history(order: list[list[Entry]]) -> bytes:
        client.delete("c:test")
        for batch in order:
            merge(client, batch, keep=keep)
        found: bytes = client.get("c:test")  # type: ignore[assignment]
        return found

    shuffled = [*batches, *rng.choices(batches, k=3)]
    rng.shuffle(shuffled)
    assert history(shuffled) == history(batches)


def written(client: valkey.Valkey) -> int:
    """The number of bytes in the append-only file."""
    size: int = client.info("persistence")["aof_current_size"]
    return size


@pytest.mark.parametrize(("entry", "most"), [((50, 1, 5), 0), ((98, 1, 4), 800), ((98, 0, 5), 800), ((99, 99, 5), 200)])
def test_a_late_entry_rewrites_only_the_end_of_a_history(client: valkey.Valkey, entry: Entry, most: int) -> None:
    client.delete("c:test")
    merge(client, [(second, number, 5) for second in range(100) for number in range(1, 11)])
    before = written(client)
    merge(client, [entry])
    assert written(client) - before <= most


def test_a_repeated_merge_changes_nothing(client: valkey.Valkey) -> None:
    client.delete("c:test")
    first = merge(client, [(10, 1, 5), (10, 2, NEVER), (20, 0, 7)])
    assert merge(client, [(10, 2, NEVER)]) == first
    assert client.get("c:test") == first


def test_the_stamp_has_all_that_a_model_may_need() -> None:
    fields = Stamp(written_to="2018-09-03").fields()
    assert fields["written_to"] == "2018-09-03"
    assert {"features_version", "label_delay_days", "customer_horizon_days", "terminal_horizon_days"} <= set(fields)


@given(st.integers(0, 100_000_000), st.one_of(st.integers(0, 2**36 - 2), st.just(NEVER)))
def test_packed_cents_and_report_are_unpacked_again(cents: int, reported: int) -> None:
    packed = pack_reported(np.array([cents]), np.array([reported]))
    assert packed[0] >= 0
    assert [int(part[0]) for part in unpack_reported(packed)] == [cents, reported]


def test_an_earlier_report_is_the_lesser_value() -> None:
    reported = np.array([0, 5, 2**32, 2**36 - 2, NEVER])
    for cents in (0, 100_000_000):
        packed = pack_reported(np.full(5, cents), reported)
        assert (np.diff(packed) > 0).all()
    # A report too late for the packed value counts as none.
    assert unpack_reported(pack_reported(np.array([7]), np.array([2**40])))[1][0] == NEVER

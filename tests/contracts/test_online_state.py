"""The script that merges into a history, on a real Valkey, compared with a dictionary."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import valkey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.labels import NEVER
from contracts.online_state import (
    ERASE_LUA,
    MERGE_LUA,
    Stamp,
    late_key,
    pack_entries,
    pack_positions,
    pack_reported,
    pack_second,
    unpack_history,
    unpack_reported,
    with_late,
)
from contracts.zones import ZoneId, find_zone

BIG = 2**63 - 1
KEEP = 100
KEY = "c:test"
CALL = "merge(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))"
RETURNING = f"{MERGE_LUA} return {{{CALL}}}"
WRITING = f"{MERGE_LUA} {CALL}"

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
    """The history that the script returns, with its late entries at their places."""
    packed = pack_entries(*np.array(sorted(batch), dtype=np.int64).reshape(-1, 3).T).tobytes()
    returned: list[bytes] = client.eval(RETURNING, 1, KEY, pack_second(floor), packed, keep, slack)
    return with_late(*returned)


def stored(client: valkey.Valkey) -> bytes:
    found: list[bytes | None] = client.mget(KEY, f"{KEY}:late")
    return with_late(found[0] or bytes(8), found[1] or b"")


def unpack(history: bytes) -> tuple[int, dict[tuple[int, int], int]]:
    floor, found = unpack_history(history)
    assert found.tolist() == sorted(found.tolist())
    return floor, {(occurred, number): value for occurred, number, value in found.tolist()}


@pytest.mark.parametrize("slack", [0, 60])
@given(st.lists(st.tuples(entries, st.integers(0, 250)), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_is_a_union_by_position_cut_to_the_horizon(
    client: valkey.Valkey, slack: int, batches: list[tuple[list[Entry], int]]
) -> None:
    client.delete(KEY, f"{KEY}:late")
    known: dict[tuple[int, int], int] = {}
    before: dict[tuple[int, int], int] = {}
    before_floor, highest = 0, 0
    for batch, reads_from in batches:
        returned_floor, returned = unpack(merge(client, batch, reads_from, slack))
        added: dict[tuple[int, int], int] = {}
        for occurred, number, value in batch:
            added[occurred, number] = min(value, before.get((occurred, number), NEVER))
            known[occurred, number] = min(value, known.get((occurred, number), NEVER))
        # What is returned lacks nothing that was there before, or came now.
        assert (returned_floor, returned) == (before_floor, before | added)
        floor, kept = unpack(stored(client))
        highest = max(highest, reads_from)
        cut = max(known)[0] - KEEP
        # Complete after the floor, which is not inside the horizon.
        assert highest <= floor <= max(highest, cut)
        assert {position for position in known if position[0] > floor} <= set(kept)
        # Nothing else than what came, and nothing that is older than the horizon and the slack.
        assert all(known[position] == value for position, value in kept.items() if position[0] > cut)
        main = client.get(KEY)
        assert isinstance(main, bytes)
        assert min(unpack(main)[1])[0] > cut - slack
        before, before_floor = kept, floor


@given(st.lists(entries, min_size=1, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_again_and_in_any_order_gives_the_same_history(
    client: valkey.Valkey, batches: list[list[Entry]], rng: random.Random
) -> None:
    keep = 2**40

    def history(order: list[list[Entry]]) -> bytes:
        client.delete(KEY, f"{KEY}:late")
        for batch in order:
            merge(client, batch, keep=keep)
        return stored(client)

    shuffled = [*batches, *rng.choices(batches, k=3)]
    rng.shuffle(shuffled)
    assert history(shuffled) == history(batches)


def written(client: valkey.Valkey) -> int:
    """The number of bytes in the append-only file, once everything is written: a busy disk delays that by seconds."""
    client.execute_command("WAITAOF", 1, 0, 10_000)
    size: int = client.info("persistence")["aof_current_size"]
    return size


@pytest.mark.parametrize(
    ("entry", "most"),
    [((5, 1, 5), 0), ((98, 1, 5), 0), ((5, 1, 4), 120), ((5, 0, 5), 120), ((98, 0, 5), 600), ((99, 99, 5), 120)],
)
def test_merging_one_entry_writes_as_much_as_one_entry(client: valkey.Valkey, entry: Entry, most: int) -> None:
    """Wherever it belongs: to the end, near it, or far back, or a report of a payment there."""
    client.delete(KEY, f"{KEY}:late")
    merge(client, [(second, number, 5) for second in range(100) for number in range(1, 11)])
    before = written(client)
    merge(client, [entry])
    assert written(client) - before <= most


def test_many_late_entries_write_in_proportion_to_what_they_are(client: valkey.Valkey) -> None:
    client.delete(KEY, f"{KEY}:late")
    keep = 2**40
    seconds = range(10, 20_010)
    merge(client, [(second, 1, 5) for second in seconds], keep=keep)
    before = written(client)
    for n in range(1_100):
        entry = pack_entries(np.array([10 + n % 50]), np.array([2 + n]), np.array([5])).tobytes()
        client.eval(WRITING, 1, KEY, pack_second(0), entry, keep, 0)
    # The history of 480 kB is written again once in 512 entries, not for each.
    assert written(client) - before < 1_100 * 120 + 2 * 520_000
    assert len(stored(client)) == 8 + 24 * 21_100
    assert len(client.get(f"{KEY}:late") or b"") < 24 * 512


def test_reports_of_many_payments_write_at_most_the_history(client: valkey.Valkey) -> None:
    client.delete(KEY, f"{KEY}:late")
    merge(client, [(second, 1, 5) for second in range(100)])
    before = written(client)
    merge(client, [(second, 1, 4) for second in range(100)])
    assert written(client) - before < 100 * 24 + 200
    assert set(unpack(stored(client))[1].values()) == {4}


def test_an_entity_with_too_many_entries_keeps_the_newest_and_its_floor_says_so(client: valkey.Valkey) -> None:
    client.delete(KEY, f"{KEY}:late")
    keep = 2**40
    merge(client, [(second, 1, 5) for second in range(1, 50_001)], keep=keep)
    assert unpack(stored(client))[0] == 0
    merge(client, [(3, 2, 5)], keep=keep)
    floor, kept = unpack(stored(client))
    assert (floor, min(kept)[0], len(kept)) == (5_000, 5_001, 45_000)
    merge(client, [(50_001, 1, 5)], keep=keep)
    floor, kept = unpack(stored(client))
    assert (floor, max(kept)[0], len(kept)) == (5_000, 50_001, 45_001)


def test_merging_too_many_entries_again_changes_nothing(client: valkey.Valkey) -> None:
    """As the writer does with the payments of a busy terminal, day after day."""
    client.delete(KEY, f"{KEY}:late")
    entries = [(second, 1, 5) for second in range(1, 60_001)]
    for _ in range(4):
        merge(client, entries, keep=2**40)
        floor, kept = unpack(stored(client))
        assert (floor, len(kept), max(kept)[0]) == (15_000, 45_000, 60_000)


def test_many_late_entries_at_once_are_folded_in(client: valkey.Valkey) -> None:
    client.delete(KEY, f"{KEY}:late")
    keep = 2**40
    merge(client, [(100, 1, 5), *((second, 1, 5) for second in range(40_000, 41_000))], keep=keep)
    merge(client, [(second, 1, 5) for second in range(200, 30_000)], keep=keep)
    floor, kept = unpack(stored(client))
    assert (floor, len(kept)) == (0, 1_001 + 29_800)
    merge(client, [(second, 1, 5) for second in range(30_000, 55_000)], keep=keep)
    floor, kept = unpack(stored(client))
    assert (len(kept), max(kept)[0], min(kept)[0]) == (45_000, 54_999, floor + 1)


def test_an_entry_dated_in_the_future_displaces_nothing(client: valkey.Valkey) -> None:
    client.delete(KEY, f"{KEY}:late")
    now, keep = int(time.time()), 38 * 86_400
    merge(client, [(now - n, 1, 5) for n in range(50)], keep=keep)
    merge(client, [(now + 400 * 86_400, 2, 5)], keep=keep)
    for n in range(1, 30):
        merge(client, [(now + n, 3, 5)], keep=keep)
    assert unpack(stored(client))[0] == 0
    assert len(unpack(stored(client))[1]) == 50 + 1 + 29


def test_a_repeated_merge_changes_nothing(client: valkey.Valkey) -> None:
    client.delete(KEY, f"{KEY}:late")
    first = merge(client, [(10, 1, 5), (10, 2, NEVER), (20, 0, 7)])
    assert merge(client, [(10, 2, NEVER)]) == first
    assert stored(client) == first


def test_the_stamp_has_all_that_a_model_may_need() -> None:
    fields = Stamp(written_to="2018-09-03").fields()
    assert fields["written_to"] == "2018-09-03"
    assert {"features_version", "label_delay_days", "customer_horizon_days", "terminal_horizon_days"} <= set(fields)


def test_the_stamp_names_the_zone_unless_it_is_utc() -> None:
    assert not {"bank_zone", "bank_zone_rules", "zone"} & set(Stamp(written_to="2018-09-03").fields())
    zone = find_zone("America/New_York").id
    fields = Stamp(written_to="2018-09-03", zone=zone).fields()
    assert fields["bank_zone"] == "America/New_York"
    assert ZoneId.read(fields) == zone


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


def erase(client: valkey.Valkey, positions: list[tuple[int, int]]) -> int:
    removed: int = client.eval(ERASE_LUA, 2, KEY, late_key(KEY), pack_positions(positions))
    return removed


@given(st.lists(entries, min_size=1, max_size=5), entries, entries, st.integers(0, 250))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_erasing_removes_exactly_these_payments_and_keeps_the_floor(
    client: valkey.Valkey, batches: list[list[Entry]], others: list[Entry], after: list[Entry], floor: int
) -> None:
    """Whatever is in the history, among the late entries or in neither; what is merged later is a union again."""
    client.delete(KEY, late_key(KEY))
    for batch in batches:
        merge(client, batch, floor, keep=2**40)
    before_floor, before = unpack(stored(client))
    gone = {entry[:2] for entry in [*batches[0], *others]}
    assert erase(client, sorted(gone)) == len(gone & set(before))
    left = {position: value for position, value in before.items() if position not in gone}
    assert unpack(stored(client)) == (before_floor, left)
    assert erase(client, sorted(gone)) == 0
    merge(client, after, keep=2**40)
    again_floor, again = unpack(stored(client))
    assert again_floor == before_floor
    assert set(left) <= set(again) <= set(left) | {entry[:2] for entry in after}


def test_erasing_finds_late_entries(client: valkey.Valkey) -> None:
    client.delete(KEY, late_key(KEY))
    merge(client, [(second, 1, 5) for second in range(1_000, 2_000)], keep=2**40)
    merge(client, [(5, 7, 5)], keep=2**40)
    merge(client, [(6, 8, 5)], keep=2**40)
    late = client.get(late_key(KEY))
    assert isinstance(late, bytes)
    assert len(late) == 48
    assert erase(client, [(5, 7), (1_500, 1), (6, 9)]) == 2
    assert set(unpack(stored(client))[1]) == {
        (6, 8),
        *((second, 1) for second in range(1_000, 2_000) if second != 1_500),
    }

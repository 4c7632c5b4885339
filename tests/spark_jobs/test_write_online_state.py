from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.labels import DAY, NEVER
from contracts.online_state import CUSTOMER_KEEP, FORMAT, MERGE_LUA, Stamp, pack_second, unpack_history
from spark_jobs.errors import JobError
from spark_jobs.io.online_store import open_state
from spark_jobs.settings import Settings
from spark_jobs.write_online_state import Target, write_online_state, write_terminals
from tests.spark_jobs.lakes import FIRST_DAY, FIRST_SECOND, Payment, forget_patterns, write_clean

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(60)]
LAST = 50
UP_TO_LAST = DayRange(DAYS[LAST], DAYS[LAST])
KEPT_FROM = FIRST_SECOND + (LAST - 37) * DAY
"""The first second of the 38 days that end with the last."""

Entries = list[tuple[int, int, int]]


def sample_payments() -> list[Payment]:
    """Three customers and two terminals, a payment every five hours for 51 days, some reported."""
    rows = []
    for n, at in enumerate(range(FIRST_SECOND, FIRST_SECOND + (LAST + 1) * DAY, 5 * 3600)):
        rows.append(Payment(2**63 - 1 - n, n % 3, 2**62 + n % 2, n, at, at + 3 * DAY if n % 7 == 0 else None))
    return rows


def dump(state: Any) -> dict[str, object]:
    """Everything in the online store, for comparison."""
    found: dict[str, object] = {}
    for key in state.scan_iter():
        kind = state.type(key)
        read = {b"string": state.get, b"hash": state.hgetall, b"set": state.smembers}[kind]
        found[key.decode()] = read(key)
    return found


def history(state: Any, key: str) -> tuple[int, Entries]:
    floor, entries = unpack_history(state.get(key))
    return floor, [(int(e["occurred"]), int(e["transaction_id"]), int(e["value"])) for e in entries]


def entries_of(payments: Iterable[Payment], terminal: bool) -> Entries:
    last = FIRST_SECOND + (LAST + 1) * DAY
    kept = sorted((p for p in payments if KEPT_FROM <= p.occurred < last), key=lambda p: p.position)
    reported = [NEVER if p.reported is None or p.reported >= last else p.reported for p in kept]
    values = [of_terminal(p.cents, r) if terminal else p.cents for p, r in zip(kept, reported, strict=True)]
    return [(p.occurred, p.transaction_id, value) for p, value in zip(kept, values, strict=True)]


def of_terminal(cents: int, reported: int) -> int:
    """The value of a terminal's entry, in plain arithmetic."""
    return min(reported, 2**36 - 1) * 2**27 + cents


def apply(state: Any, key: str, entries: Sequence[tuple[int, int, int]], keep: int = CUSTOMER_KEEP) -> None:
    """Apply a payment like the scorer: merge it into a history with the contract's script."""
    packed = b"".join(struct.pack(">qqq", *entry) for entry in entries)
    state.eval(
        MERGE_LUA + "return merge(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]))", 1, key, pack_second(0), packed, keep
    )


def test_every_history_index_and_stamp_follows_the_contract(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    payments = sample_payments()
    write_clean(live_settings.lake_root, payments)
    result = write_online_state(spark, live_settings, UP_TO_LAST)
    kept = [p for p in payments if p.occurred >= KEPT_FROM]
    assert result == {"rows_in": len(kept), "customers": 3, "terminals": 2}
    for customer in range(3):
        mine = [p for p in payments if p.customer_id == customer]
        assert history(state, f"c:{customer}") == (KEPT_FROM - 1, entries_of(mine, terminal=False))
    for terminal in (2**62, 2**62 + 1):
        there = [p for p in payments if p.terminal_id == terminal]
        assert history(state, f"t:{terminal}") == (KEPT_FROM - 1, entries_of(there, terminal=True))
    assert {day.decode() for day in state.smembers("state:days")} == {str(day) for day in DAYS[LAST - 37 : LAST + 1]}
    for day in DAYS[LAST - 37 : LAST + 1]:
        assert state.hgetall(f"i:{day}") == {
            struct.pack(">q", p.transaction_id): struct.pack(">qqq", p.terminal_id, p.occurred, p.cents)
            for p in kept
            if p.day == day
        }
    assert {name.decode(): value.decode() for name, value in state.hgetall("state:meta").items()} == Stamp(
        written_to=str(DAYS[LAST])
    ).fields()


def test_reports_without_a_pattern_column_count_as_well(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    write_clean(live_settings.lake_root, sample_payments())
    write_online_state(spark, live_settings, UP_TO_LAST)
    expected = dump(state)
    state.flushdb()
    forget_patterns(live_settings.lake_root)
    write_online_state(spark, live_settings, UP_TO_LAST)
    assert dump(state) == expected


def test_the_floor_of_a_young_lake_is_zero(spark: SparkSession, live_settings: Settings, state: Any) -> None:
    write_clean(live_settings.lake_root, [Payment(1, 1, 1, 100, FIRST_SECOND + 40 * DAY)])
    write_online_state(spark, live_settings, UP_TO_LAST)
    assert history(state, "c:1")[0] == 0


def test_a_second_run_changes_nothing(spark: SparkSession, live_settings: Settings, state: Any) -> None:
    write_clean(live_settings.lake_root, sample_payments())
    write_online_state(spark, live_settings, UP_TO_LAST)
    before = dump(state)
    write_online_state(spark, live_settings, UP_TO_LAST)
    assert dump(state) == before


def test_payments_applied_meanwhile_by_the_scorer_stay(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    payments = sample_payments()
    newer = FIRST_SECOND + (LAST + 2) * DAY
    same = next(p for p in payments if p.customer_id == 0 and p.occurred >= KEPT_FROM + 20 * DAY and p.reported is None)
    apply(state, "c:0", [(newer - 3600, 5, 70), (newer, 2**63 - 1, 80)])
    reported = (same.occurred, same.transaction_id, of_terminal(same.cents, same.occurred + 60))
    apply(state, f"t:{same.terminal_id}", [reported, (newer, 6, of_terminal(90, NEVER))])
    apply(state, "c:99", [(newer, 7, 90)])
    write_clean(live_settings.lake_root, payments)
    write_online_state(spark, live_settings, UP_TO_LAST)
    _, mine = history(state, "c:0")
    assert mine[-2:] == [(newer - 3600, 5, 70), (newer, 2**63 - 1, 80)]
    cut = newer - CUSTOMER_KEEP
    assert mine[:-2] == [
        e for e in entries_of((p for p in payments if p.customer_id == 0), terminal=False) if e[0] > cut
    ]
    _, there = history(state, f"t:{same.terminal_id}")
    assert there[-1] == (newer, 6, of_terminal(90, NEVER))
    # A report known to the scorer but not yet to the bank is kept.
    assert reported in there
    assert history(state, "c:99") == (0, [(newer, 7, 90)])


def test_entries_at_one_second_are_ordered_by_the_whole_id(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    ids = [2**63 - 1, 2**63 - 2, 2**62 + 1, 2**62, 2**53 + 1, 2**53, 2**32, 1, 0]
    write_clean(live_settings.lake_root, [Payment(n, 2**63 - 1, 2**63 - 1, 1, KEPT_FROM) for n in ids])
    apply(state, f"c:{2**63 - 1}", [(KEPT_FROM, 2**62 + 1, 1)])
    write_online_state(spark, live_settings, UP_TO_LAST)
    assert [entry[1] for entry in history(state, f"c:{2**63 - 1}")[1]] == sorted(ids)


def test_the_next_day_advances_the_stamp_and_drops_the_oldest_index(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    write_clean(live_settings.lake_root, [*sample_payments(), Payment(3, 1, 1, 1, FIRST_SECOND + (LAST + 1) * DAY)])
    write_online_state(spark, live_settings, UP_TO_LAST)
    write_online_state(spark, live_settings, DayRange(DAYS[LAST + 1], DAYS[LAST + 1]))
    assert state.hget("state:meta", "written_to") == str(DAYS[LAST + 1]).encode()
    assert not state.exists(f"i:{DAYS[LAST - 37]}")
    assert not state.sismember("state:days", str(DAYS[LAST - 37]))
    assert state.exists(f"i:{DAYS[LAST - 36]}", f"i:{DAYS[LAST + 1]}") == 2


def test_a_run_for_older_days_does_not_move_the_stamp_back(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    write_clean(live_settings.lake_root, sample_payments())
    write_online_state(spark, live_settings, UP_TO_LAST)
    before = dump(state)
    write_online_state(spark, live_settings, DayRange(DAYS[20], DAYS[20]))
    after = dump(state)
    histories = {key for key in before if key[:2] in ("c:", "t:")}
    # An old payment that a history's newest still lets stay is added before its floor; from there on all is as it was.
    assert {key: complete(after.pop(key)) for key in histories} == {key: complete(before.pop(key)) for key in histories}
    assert after == before


def complete(history: object) -> bytes:
    """A history's floor, and the entries after it."""
    assert isinstance(history, bytes)
    floor, entries = unpack_history(history)
    return history[:8] + entries[entries["occurred"] > floor].tobytes()


def test_an_interrupted_run_leaves_no_stamp_and_the_next_completes_it(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    write_clean(live_settings.lake_root, sample_payments())
    write_online_state(spark, live_settings, UP_TO_LAST)
    whole = dump(state)
    state.flushdb()
    target = Target(live_settings.valkey_url, str(live_settings.secrets_dir), KEPT_FROM - 1, DAYS[LAST - 37])
    half = [p for p in sample_payments() if p.terminal_id == 2**62 and p.occurred >= KEPT_FROM]
    batch = _batch(half[:40])
    list(write_terminals(target)(iter([batch])))
    assert not state.exists("state:meta")
    write_online_state(spark, live_settings, UP_TO_LAST)
    assert dump(state) == whole


def test_a_store_of_another_format_is_rejected_and_not_changed(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    write_clean(live_settings.lake_root, sample_payments())
    state.hset("state:meta", mapping={"state_format": "0", "written_to": "2024-01-01"})
    with pytest.raises(JobError, match=rf"has format 0, but this code writes {FORMAT}: empty that database"):
        write_online_state(spark, live_settings, UP_TO_LAST)
    assert list(dump(state)) == ["state:meta"]


def test_no_payments_to_write_says_what_to_run(spark: SparkSession, live_settings: Settings, state: Any) -> None:
    with pytest.raises(JobError, match=r"the lake has no clean days in .*: run validate"):
        write_online_state(spark, live_settings, UP_TO_LAST)
    write_clean(live_settings.lake_root, [Payment(1, 1, 1, 1, FIRST_SECOND)])
    with pytest.raises(JobError, match=r"no clean payments on 2024-03-14\.\.2024-04-20: run validate"):
        write_online_state(spark, live_settings, UP_TO_LAST)
    assert dump(state) == {}


def test_a_wrong_password_and_no_server_say_what_to_check(live_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "valkey_password").write_text("wrong")
    with (
        pytest.raises(JobError, match=r"rejects the password \(.*\): check the secret valkey_password"),
        open_state(live_settings.valkey_url, tmp_path),
    ):
        pass
    with (
        pytest.raises(
            JobError,
            match=r"Valkey at valkey://127.0.0.1:1/0 failed \(.*\): check VALKEY_URL and that Valkey is running",
        ),
        open_state("valkey://127.0.0.1:1/0", tmp_path),
    ):
        pass


def _batch(payments: Sequence[Payment]) -> pa.RecordBatch:
    columns = {
        "transaction_id": [p.transaction_id for p in payments],
        "terminal_id": [p.terminal_id for p in payments],
        "occurred": [p.occurred for p in payments],
        "amount_cents": [p.cents for p in payments],
        "reported": [NEVER if p.reported is None else p.reported for p in payments],
    }
    return pa.RecordBatch.from_pydict({name: pa.array(values, pa.int64()) for name, values in columns.items()})

"""The bank's zone: Spark's features equal the scorer's in any zone, and every file and stamp says which it is."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import DAY, NEVER
from contracts.online_state import META_KEY, pack_entries, pack_reported, pack_second
from contracts.zones import NAME_FIELD, UTC, Zone, ZoneId, find_zone
from serving.online_store.protocol import Claim
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment as Asked
from spark_jobs.build_features import build_features
from spark_jobs.errors import one_line
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.zones import zone_of_day
from spark_jobs.settings import Settings
from spark_jobs.write_online_state import write_online_state
from tests.feature_definitions import Payment as Literal
from tests.feature_definitions import literal_features
from tests.spark_jobs.lakes import FIRST_DAY, FIRST_SECOND, Payment, digests, read_rows, run_passes, write_clean

NEW_YORK = "America/New_York"
# The clocks change on 2024-03-10 in New York and on 2024-03-31 in London; Lord Howe's on 2024-04-07, by half an hour.
ZONES = st.sampled_from(["UTC", NEW_YORK, "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu"])
SECONDS = st.lists(st.integers(FIRST_SECOND, FIRST_SECOND + 50 * DAY), min_size=1, max_size=20)


def batch_features(zone: Zone, seconds: list[int]) -> list[list[float]]:
    """One customer's payments at one terminal, through both of Spark's passes; in order of time."""
    payments = [Payment(n, 0, 0, n + 1, second) for n, second in enumerate(seconds)]
    rows = run_passes(payments, FIRST_SECOND, zone).to_pylist()
    return [[row[name] for name in FEATURES] for row in sorted(rows, key=lambda row: row["transaction_id"])]


def online_features(zone: Zone, seconds: list[int]) -> list[list[float]]:
    """The same, as the scorer computes them from packed histories."""
    ids, at = np.arange(len(seconds)), np.array(seconds)
    none = np.full(len(ids), NEVER)
    customer = pack_second(0) + pack_entries(at, ids, ids + 1).tobytes()
    terminal = pack_second(0) + pack_entries(at, ids, pack_reported(ids + 1, none)).tobytes()
    claims = [Claim(Asked(n, 0, 0, n + 1, second), n, customer, terminal) for n, second in enumerate(seconds)]
    found: list[list[float]] = compute_features(claims, zone).matrix.tolist()
    return found


@given(ZONES, SECONDS)
def test_the_scorer_s_features_equal_spark_s_in_any_zone(name: str, seconds: list[int]) -> None:
    zone = find_zone(name)
    assert online_features(zone, sorted(seconds)) == batch_features(zone, sorted(seconds))


def test_spark_builds_features_in_the_bank_s_zone_and_its_files_say_so(spark: SparkSession, settings: Settings) -> None:
    payments = [Payment(n, n % 3, n % 2, 100, FIRST_SECOND + n * 5_400) for n in range(400)]
    write_clean(settings.lake_root, payments)
    days, lake = DayRange(FIRST_DAY, payments[-1].day), Lake(settings.lake_root)
    build_features(spark, settings, days)
    plain = digests(settings.lake_root)
    assert not pq.read_schema(lake.file("features", FIRST_DAY)).metadata
    build_features(spark, settings.model_copy(update={"bank_zone": NEW_YORK}), days)
    found = {row["transaction_id"]: row for row in read_rows(settings.lake_root, "features")}
    for p in payments:
        known = Literal(p.transaction_id, p.customer_id, p.terminal_id, p.cents, p.occurred)
        expected = literal_features([known], known, ZoneInfo(NEW_YORK))
        row = found[p.transaction_id]
        assert [row[name] for name in ("is_night", "is_weekend")] == [expected["is_night"], expected["is_weekend"]]
        # The days of the lake stay UTC.
        assert row["day"] == p.day
    assert {zone_of_day(lake, day) for day in lake.days("features")} == {find_zone(NEW_YORK).id}
    build_features(spark, settings, days)
    assert digests(settings.lake_root) == plain


def test_days_of_another_zone_next_to_those_built_are_said(
    spark: SparkSession, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    payments = [Payment(n, 1, 1, 100, FIRST_SECOND + n * DAY) for n in range(3)]
    write_clean(settings.lake_root, payments)
    last = payments[-1].day
    build_features(spark, settings, DayRange(FIRST_DAY, last))
    assert "for the zone" not in capsys.readouterr().out
    build_features(spark, settings.model_copy(update={"bank_zone": NEW_YORK}), DayRange(last, last))
    said = capsys.readouterr().out
    assert f"are for the zone UTC, those of {last}..{last} for {NEW_YORK}: with the bank's zone in BANK_ZONE" in said
    assert "run build_features over all days, then write_online_state, then modeling.train" in said


def test_the_stamp_follows_the_zone(
    spark: SparkSession, live_settings: Settings, state: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clean(live_settings.lake_root, [Payment(1, 1, 1, 100, FIRST_SECOND)])

    def stamped(name: str) -> ZoneId:
        there = live_settings.model_copy(update={"bank_zone": name})
        write_online_state(spark, there, DayRange(FIRST_DAY, FIRST_DAY))
        return ZoneId.read({key.decode(): value.decode() for key, value in state.hgetall(META_KEY).items()})

    assert stamped(NEW_YORK) == find_zone(NEW_YORK).id
    assert "the state was for the zone" not in capsys.readouterr().out
    assert stamped("UTC") == UTC.id
    assert not state.hexists(META_KEY, NAME_FIELD)
    assert f"the state was for the zone {NEW_YORK}, now for UTC: with the bank's zone" in capsys.readouterr().out


def test_a_wrong_zone_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_ZONE", "America/NewYork")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert one_line(caught.value).startswith(
        "BANK_ZONE: 'America/NewYork' is not a time zone of the IANA database: write "
    )
    monkeypatch.setenv("BANK_ZONE", "")
    assert Settings().zone == UTC

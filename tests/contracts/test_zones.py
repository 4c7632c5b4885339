"""Night and weekend in a zone, compared with zoneinfo payment by payment."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import zones
from contracts.features import payment_features
from contracts.zones import Zone, ZoneId, find_zone
from tests.contracts.test_bundle import a_bundle

END_OF_2037 = int(datetime(2038, 1, 1, tzinfo=UTC).timestamp()) - 1
NAMES = sorted(files("tzdata").joinpath("zones").read_text().split())
# With half hours, quarter hours, seconds, a skipped day, two changes a year, and rules of one summer each.
ODD = [
    *("America/New_York", "America/St_Johns", "America/Caracas", "Europe/London", "Europe/Dublin", "UTC"),
    *("Africa/Casablanca", "Africa/Monrovia", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Gaza", "Antarctica/Troll"),
    *("Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati"),
]
names = st.one_of(st.sampled_from(ODD), st.sampled_from(NAMES))


@cache
def clock(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


def literal(name: str, second: int) -> tuple[bool, bool]:
    """Whether a second is on a weekend and at night, by the clock of the zone."""
    at = datetime.fromtimestamp(second, clock(name))
    return at.weekday() >= 5, at.hour <= 6


def by_kernel(zone: Zone, seconds: list[int]) -> list[tuple[bool, bool]]:
    found = payment_features(np.array(seconds), np.ones(len(seconds), dtype=np.int64), zone)
    return list(zip(found["is_weekend"] == 1, found["is_night"] == 1, strict=True))


@given(names, st.lists(st.integers(0, END_OF_2037), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_night_and_weekend_are_those_of_the_zone_s_clock(name: str, seconds: list[int]) -> None:
    assert by_kernel(find_zone(name), seconds) == [literal(name, second) for second in seconds]


@given(names, st.data())
@settings(max_examples=200, deadline=None)
def test_around_every_change_of_the_clock(name: str, data: st.DataObject) -> None:
    """Also where an hour is skipped or repeated: each second has one local time."""
    zone = find_zone(name)
    known = [second for second in zone.transitions if second < END_OF_2037] or [0]
    at = data.draw(st.sampled_from(known))
    near = [max(at + off, 0) for off in (-7_201, -3_601, -3_600, -1, 0, 1, 1_799, 3_599, 3_600, 7_200)]
    assert by_kernel(zone, near) == [literal(name, second) for second in near]


def test_each_zone_of_the_database_has_a_table() -> None:
    for name in ODD:
        zone = find_zone(name)
        assert len(zone.offsets) == len(zone.transitions) + 1
        assert all(one != other for one, other in zip(zone.offsets, zone.offsets[1:], strict=False)), name
    assert find_zone("Africa/Monrovia").offsets[0] == -2_670


def test_a_day_in_new_york() -> None:
    """2018-03-11: the hour from 2:00 on is skipped. It begins on Saturday evening in UTC's Sunday."""
    midnight = int(datetime(2018, 3, 11, 5, tzinfo=UTC).timestamp())
    seconds = [midnight - 1, midnight, midnight + 6 * 3_600 - 1, midnight + 6 * 3_600, midnight + 23 * 3_600]
    found = by_kernel(find_zone("America/New_York"), seconds)
    # Saturday 23:59:59, Sunday 0:00, 6:59:59, 7:00, Monday 0:00.
    assert found == [(True, False), (True, True), (True, True), (True, False), (False, True)]


def test_utc_computes_what_it_computed_before_there_were_zones() -> None:
    seconds = np.random.default_rng(0).integers(0, 2**33, 10_000)
    cents = np.ones(10_000, dtype=np.int64)
    plain = payment_features(seconds, cents)
    assert zones.UTC.local(seconds) is seconds
    for name in ("UTC", "Etc/UTC", "Africa/Abidjan"):
        found = payment_features(seconds, cents, find_zone(name))
        assert all(np.array_equal(plain[one], found[one]) for one in plain)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("America/NewYork", "America/New_York"),
        ("america/new_york", "America/New_York"),
        ("New York", "America/New_York"),
        ("Berlin", "Europe/Berlin"),
        ("Europe/Munich", "Europe/"),
        ("utc", "UTC"),
        ("../../etc/passwd", "Europe/Berlin, or UTC"),
        ("+02:00", ""),
    ],
)
def test_a_wrong_name_is_refused_with_the_closest_ones(name: str, close: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone of the IANA database: write ") as caught:
        find_zone(name)
    assert close in str(caught.value).split(": write ")[1]


def test_zones_with_the_same_rules_are_the_same() -> None:
    assert find_zone("US/Eastern").id == find_zone("America/New_York").id != find_zone("America/Toronto").id
    assert find_zone("Etc/UTC").id == find_zone("UTC").id == ZoneId.read({}) != find_zone("Europe/London").id
    assert ZoneId.read(find_zone("Europe/London").id.fields()) == find_zone("Europe/London").id
    assert find_zone("Etc/UTC").id.fields() == {}
    assert ZoneId.read({"bank_zone": "Europe/London"}) not in (ZoneId(), find_zone("Europe/London").id)
    assert ZoneId.read({"bank_zone": "UTC"}) == ZoneId()


def test_zones_that_differ_by_their_rules_alone_are_told_apart() -> None:
    london = find_zone("Europe/London")
    newer = Zone("Europe/London", london.transitions[:-1], london.offsets[:-1])
    assert newer.id != london.id
    assert [text.startswith("Europe/London (rules ") for text in london.id.versus(newer.id)] == [True, True]
    assert london.id.versus(ZoneId()) == ("Europe/London", "UTC")


def through_a_bundle(zone: Zone) -> Zone:
    return type(a_bundle()).model_validate_json(a_bundle(bank_zone=zone).model_dump_json(by_alias=True)).bank_zone


@pytest.mark.parametrize("carry", [lambda zone: pickle.loads(pickle.dumps(zone)), through_a_bundle])
def test_a_zone_travels_with_its_table(carry: Callable[[Zone], Zone]) -> None:
    zone = find_zone("Australia/Lord_Howe")
    zone.local(np.array([0]))
    carried = carry(zone)
    assert (carried, carried.id, hash(carried)) == (zone, zone.id, hash(zone))
    seconds = np.arange(0, END_OF_2037, 86_399)
    assert np.array_equal(carried.local(seconds), zone.local(seconds))


@pytest.mark.parametrize(
    ("transitions", "offsets"),
    [((1,), (0,)), ((2, 1), (0, 3_600, 0)), ((1, 1), (0, 3_600, 0)), ((), (10**6,)), ((-5,), (0, 3_600))],
)
def test_a_table_that_is_none_is_refused(transitions: tuple[int, ...], offsets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="zone"):
        Zone("A/B", transitions, offsets)

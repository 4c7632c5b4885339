"""A scorer computes night and weekend in its model's zone, and is not ready with an online state for another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import valkey

from contracts.online_state import META_KEY, Stamp
from contracts.zones import UTC as UTC_ZONE
from contracts.zones import Zone, ZoneId
from serving.explain.feature_descriptions import TEXTS, texts_in
from serving.online_store.store import _other_zone
from tests.serving.bundles import REFERENCE, write_bundle
from tests.serving.conftest import Start
from tests.serving.registry_stub import RegistryStub
from tests.serving.running import ScorerProcess, wait_for

Fresh = Callable[[], int]
EAST = Zone("Europe/Test", (1_521_900_000, 1_540_602_000), (3_600, 7_200, 3_600))
"""The rules of Berlin for 2018; the scorer has no database of zones."""
NIGHT = int(datetime(2018, 8, 1, 4, 30, tzinfo=UTC).timestamp())
"""At half past four by UTC, half past six there."""
OURS = 10


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[RegistryStub]:
    """A registry whose champion is for UTC."""
    stub = RegistryStub()
    stub.promote(write_bundle(tmp_path / "utc"))
    yield stub
    stub.stop()


@pytest.fixture
def own_state(valkey_server: object) -> Iterator[valkey.Valkey]:
    """An online state of its own, stamped without a zone, as before zones existed."""
    port, password = valkey_server.port, valkey_server.password  # type: ignore[attr-defined]
    with valkey.Valkey(port=port, password=password, db=OURS, decode_responses=True) as client:
        client.flushdb()
        restamp(client, UTC_ZONE)
        yield client


def restamp(client: valkey.Valkey, zone: Zone) -> None:
    """Stamp the state for a zone, as write_online_state does."""
    client.hdel(META_KEY, "bank_zone", "bank_zone_rules")
    client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31", zone=zone.id).fields())


def detail(scorer: ScorerProcess) -> str:
    said: str = scorer.client.get("/readyz").json()["checks"]["online_state"]["detail"]
    return said


def test_a_state_for_another_zone_is_not_used_until_both_agree(
    start: Start,
    settings: dict[str, str],
    own_registry: RegistryStub,
    own_state: valkey.Valkey,
    tmp_path: Path,
    fresh: Fresh,
) -> None:
    database = settings["VALKEY_URL"].rpartition("/")[0]
    scorer = start(VALKEY_URL=f"{database}/{OURS}", MLFLOW_TRACKING_URI=own_registry.url)
    payment = (fresh(), fresh(), fresh(), 100, NIGHT)
    assert not scorer.score(*payment)["degraded"]
    assert scorer.features(payment[0])["is_night"] == 1
    # The state moves to the new zone first.
    restamp(own_state, EAST)
    assert scorer.client.get("/readyz").status_code == 503
    assert "the online state is for the zone Europe/Test, but the model was trained for UTC: with" in detail(scorer)
    assert "run build_features over all days, then write_online_state, then modeling.train" in detail(scorer)
    wait_for(lambda: scorer.score(fresh(), fresh(), fresh(), 100, NIGHT)["degraded"], patience=10)
    assert "online store unavailable" in scorer.log.read_text()
    # Then the model.
    own_registry.promote(write_bundle(tmp_path / "east", zone=EAST))
    wait_for(lambda: scorer.client.get("/readyz").status_code == 200)
    again = (fresh(), fresh(), fresh(), 100, NIGHT + 3_600)
    assert not scorer.score(*again)["degraded"]
    assert scorer.features(again[0])["is_night"] == 0
    local = datetime.fromtimestamp(NIGHT + 3_600, ZoneInfo("Europe/Berlin"))
    assert (local.hour, local.minute) == (7, 30)
    # A rollback to the model for UTC does not fit either.
    own_registry.champion = "1"
    wait_for(lambda: scorer.client.get("/readyz").status_code == 503)
    assert "the online state is for the zone Europe/Test, but the model was trained for UTC" in detail(scorer)
    scorer.stop()


def test_reasons_name_the_local_time() -> None:
    night = {"is_night": 1.0}
    assert (
        texts_in("America/New_York")["is_night"](night, REFERENCE)
        == "At night (before 7:00 local time, America/New_York)"
    )
    assert (
        texts_in("UTC")["is_night"](night, REFERENCE)
        == TEXTS["is_night"](night, REFERENCE)
        == "At night (before 7:00 UTC)"
    )
    assert texts_in("America/New_York").keys() == TEXTS.keys()


def test_without_a_model_and_with_equal_rules_there_is_no_mismatch() -> None:
    assert _other_zone(EAST.id, None) == ""
    assert _other_zone(EAST.id, ZoneId("Europe/Other", EAST.id.rules)) == ""
    assert _other_zone(ZoneId(), ZoneId()) == ""
    newer = ZoneId(EAST.name, "0" * 16)
    assert f"for the zone Europe/Test (rules {EAST.id.rules}), but" in _other_zone(EAST.id, newer)

"""The zone of the features is in the model's bundle, and a mixture of zones trains no model."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.bundle import CARD_MARKDOWN, METADATA, read_bundle
from contracts.days import DayRange
from contracts.zones import UTC, ZoneId, find_zone
from modeling.data.dataset import read_split
from modeling.data.folds import read_folds
from modeling.data.lake import zone_of_features
from modeling.data.split import split_days
from modeling.errors import ModelingError
from modeling.evaluate import evaluate
from modeling.models.candidate import Candidate
from modeling.promote import promote
from modeling.settings import Settings, read_settings
from modeling.tracking import mlflow_client as edges
from modeling.tracking.mlflow_client import download_model, registry
from modeling.train import train, zone_of
from tests.modeling.conftest import SettingsFor
from tests.modeling.lakes import DAYS, add_unknown_labels, mark_zone, write_lake

SPLIT = split_days(DAYS)
EAST = find_zone("Asia/Kolkata")
WEST = find_zone("America/New_York")


def bundle_of(settings: Settings, run_id: str, folder: Path) -> tuple[Candidate, Path]:
    with registry(settings) as client:
        found = edges.read_run(client, run_id)
        return found.candidate, download_model(found.model_id, folder)


@pytest.mark.usefixtures("few_trees")
def test_a_model_carries_the_zone_of_its_features_and_replaces_one_of_another_zone(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    write_lake(lake)
    settings = settings_for(lake)
    first = train(DAYS, settings)
    evaluate(first, settings)
    assert promote(first, settings)["promoted"]
    candidate, root = bundle_of(settings, first, tmp_path / "first")
    assert (candidate.bank_zone, read_bundle(root).bank_zone) == (UTC, UTC)
    assert "bank_zone" not in (root / METADATA).read_text()
    mark_zone(lake, EAST.id)
    add_unknown_labels(lake, read_split(lake, SPLIT).test.transaction_id[:7].tolist())
    there = settings_for(lake, bank_zone="Asia/Kolkata")
    # On the same days: the gate does not compare models of two zones.
    second = train(DAYS, there)
    evaluate(second, there)
    outcome = promote(second, there)
    assert outcome["promoted"]
    assert outcome["reason"] == "the champion, version 1, is for the zone UTC, and this version for Asia/Kolkata"
    candidate, root = bundle_of(settings, second, tmp_path / "second")
    assert (candidate.bank_zone, read_bundle(root).bank_zone) == (EAST, EAST)
    card = (root / CARD_MARKDOWN).read_text()
    assert "Night and weekend are in the zone Asia/Kolkata." in card
    rows = [line for line in card.splitlines() if line.startswith(("| training |", "| test |"))]
    assert [row.rstrip(" |").rsplit(" | ", 1)[1] for row in rows] == ["0", "7"]
    with registry(settings) as client:
        assert client.get_run(second).data.tags["bank_zone"] == "Asia/Kolkata"
        assert client.get_run(second).data.metrics["test_left_out"] == 7


def test_features_of_two_zones_train_no_model(tmp_path: Path) -> None:
    write_lake(tmp_path)
    assert read_split(tmp_path, SPLIT).zone == ZoneId()
    mark_zone(tmp_path, WEST.id, SPLIT.validation.first)
    said = (
        f"the features of {SPLIT.training.first} are for the zone UTC, those of {SPLIT.validation.first} for "
        "America/New_York: with the bank's zone in BANK_ZONE, run build_features over all days"
    )
    with pytest.raises(ModelingError, match=said):
        read_split(tmp_path, SPLIT)
    with pytest.raises(ModelingError, match=said):
        read_folds(Settings(lake_uri=str(tmp_path)), DayRange(SPLIT.training.first, DAYS.last), count=1)
    before = SPLIT.validation.first - timedelta(days=1)
    assert zone_of_features(tmp_path, DayRange(DAYS.first, before)) == ZoneId()
    assert zone_of_features(tmp_path, SPLIT.test) == WEST.id
    mark_zone(tmp_path, WEST.id)
    assert read_split(tmp_path, SPLIT).zone == WEST.id


def test_features_for_another_zone_than_the_setting_are_rejected() -> None:
    assert zone_of(WEST.id, None) == zone_of(WEST.id, find_zone("US/Eastern")) == WEST
    assert zone_of(ZoneId(), UTC) == UTC
    with pytest.raises(
        ModelingError, match=r"are for the zone UTC, but BANK_ZONE is Asia/Kolkata: with the bank's zone"
    ):
        zone_of(ZoneId(), EAST)
    with pytest.raises(ModelingError, match=r"rules of the zone Asia/Kolkata have changed .* \(package tzdata\): with"):
        zone_of(ZoneId("Asia/Kolkata", "0" * 16), None)
    with pytest.raises(ModelingError, match=r"an unknown zone: 'Mars/Base' is not a time zone"):
        zone_of(ZoneId("Mars/Base", "0" * 16), None)


def test_a_candidate_of_an_older_version_is_for_utc(tmp_path: Path) -> None:
    policy = {"calibration": {"slope": 1, "intercept": 0}, "thresholds": {"review": 0.1, "decline": 0.2}}
    fields = {
        "first": "2025-01-01", "last": "2025-02-01", "history_from": "2025-01-01", "reviews_per_1000": 10,
        "decider": policy, "baseline": policy, "reference": {}, "data_fingerprint": "", "parameters_fingerprint": "",
    }  # fmt: skip
    old = Candidate.model_validate_json(json.dumps(fields))
    assert old.bank_zone == UTC
    there = old.model_copy(update={"bank_zone": EAST})
    assert Candidate.model_validate_json(there.model_dump_json()).bank_zone == EAST


def test_a_wrong_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_ZONE", "Berlin")
    with pytest.raises(ModelingError, match=r"invalid settings: BANK_ZONE=Berlin: 'Berlin' .* write Europe/Berlin"):
        read_settings()
    monkeypatch.setenv("BANK_ZONE", "")
    assert read_settings().zone is None

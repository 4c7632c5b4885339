"""A bundle is verified before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from contracts.bundle import (
    METADATA,
    TREES,
    Bundle,
    BundleError,
    Calibration,
    Thresholds,
    check_fits,
    decide,
    probability,
    read_bundle,
    verify,
    write_manifest,
)
from contracts.features import FEATURES
from contracts.zones import UTC, find_zone


def a_bundle(**changes: Any) -> Bundle:
    fields: dict[str, Any] = {
        "calibration": {"slope": 1.0, "intercept": 0.0},
        "thresholds": {"review": 0.2, "decline": 0.7},
        "reference": dict.fromkeys(FEATURES, 0.0),
        "training_window": {"from": "2018-04-01", "to": "2018-07-01"},
        "data_fingerprint": "0" * 64,
        "metrics": {},
    }
    return Bundle.model_validate(fields | changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / TREES).parent.mkdir()
    (tmp_path / TREES).write_bytes(b"trees")
    (tmp_path / METADATA).write_text(a_bundle().model_dump_json(by_alias=True))
    write_manifest(tmp_path, [TREES, METADATA])
    return tmp_path


def test_a_written_bundle_is_read(root: Path) -> None:
    verify(root, [TREES, METADATA])
    assert read_bundle(root) == a_bundle()


def test_a_damaged_file_is_named(root: Path) -> None:
    (root / TREES).write_bytes(b"treez")
    with pytest.raises(BundleError, match=r"trees\.treelite is damaged"):
        verify(root, [TREES, METADATA])


@pytest.mark.parametrize("name", [TREES, METADATA])
def test_a_missing_file_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(BundleError, match=name):
        verify(root, [TREES, METADATA])


def test_a_file_that_is_not_in_the_manifest_is_rejected(root: Path) -> None:
    (root / "bundle/more").write_text("")
    with pytest.raises(BundleError, match=r"bundle/more is not in .*: run modeling.evaluate again"):
        verify(root, ["bundle/more"])


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"features_version": "0"}, "features version 0 .*: retrain the model"),
        ({"features": FEATURES[::-1]}, "features version"),
        ({"terminal_horizon_days": 90}, "terminal_horizon_days in .* is 90.*: retrain the model"),
        ({"label_delay_days": 3}, "label_delay_days in .* is 3.*: retrain the model"),
        ({"reference": {}}, "reference in .* lacks"),
    ],
)
def test_a_bundle_for_other_code_is_rejected(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(BundleError, match=word):
        check_fits(a_bundle(**changes))


def test_a_bundle_without_a_zone_is_for_utc_and_one_for_utc_names_none(root: Path) -> None:
    assert "bank_zone" not in (root / METADATA).read_text()
    assert read_bundle(root).bank_zone == UTC
    (root / METADATA).write_text(a_bundle(bank_zone=find_zone("Asia/Kolkata")).model_dump_json(by_alias=True))
    assert read_bundle(root).bank_zone == find_zone("Asia/Kolkata")


def test_a_bundle_with_a_damaged_zone_is_rejected(root: Path) -> None:
    zone = {"name": "A/B", "transitions": [5, 4], "offsets": [0, 1, 0]}
    (root / METADATA).write_text(json.dumps(json.loads((root / METADATA).read_text()) | {"bank_zone": zone}))
    with pytest.raises(BundleError, match=r"bundle.json is invalid \(bank_zone: .*ascending"):
        read_bundle(root)


def test_decisions_by_thresholds() -> None:
    thresholds = Thresholds(review=0.2, decline=0.7)
    assert [decide(score, thresholds) for score in (0.19, 0.2, 0.69, 0.7)] == ["approve", "review", "review", "decline"]
    with pytest.raises(ValidationError, match="must not be above"):
        Thresholds(review=0.8, decline=0.7)


def test_probability_is_the_logistic_of_the_scaled_margin() -> None:
    found = probability(np.array([0.0, 1.0]), Calibration(slope=2.0, intercept=-2.0))
    assert found.tolist() == pytest.approx([0.11920292202211755, 0.5])

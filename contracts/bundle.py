"""The model bundle: the files of one MLflow model version that training writes and the scorer loads.

The root of the version's artifacts has the scikit-learn model as MLflow wrote it (skops), and `bundle/` with

| file | content |
|---|---|
| `trees.treelite` | the same trees as a treelite checkpoint, which predicts in microseconds |
| `bundle.json` | `Bundle`: the bank's zone, calibration, thresholds, reference for reasons, training window, metrics |
| `card.md`, `card.html` | the model card, for people; the HTML page embeds its plots |
| `manifest.json` | `{"files": {path below the root: SHA-256}}` of every file of the bundle |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.features import CUSTOMER_HORIZON_DAYS, FEATURES, FEATURES_VERSION, TERMINAL_HORIZON_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from contracts.zones import UTC, Zone

BUNDLE_DIR: Final = "bundle"
TREES: Final = f"{BUNDLE_DIR}/trees.treelite"
METADATA: Final = f"{BUNDLE_DIR}/bundle.json"
CARD_MARKDOWN: Final = f"{BUNDLE_DIR}/card.md"
CARD_HTML: Final = f"{BUNDLE_DIR}/card.html"
MANIFEST: Final = f"{BUNDLE_DIR}/manifest.json"
SCORER_FILES: Final = (METADATA, TREES, CARD_MARKDOWN, CARD_HTML)
"""The files that the scorer loads, besides the manifest with their checksums."""

MODEL_NAME: Final = "fraud"
CHAMPION: Final = "champion"

REBUILD: Final = "run modeling.evaluate again on its run"
"""The remedy for a damaged or incomplete bundle."""
RETRAIN: Final = "retrain the model"
"""The remedy for a bundle of other code."""

Decision = Literal["approve", "review", "decline"]


class BundleError(Exception):
    """An invalid, damaged or incompatible bundle; names the file or field, the reason and the remedy."""


class Calibration(BaseModel):
    """Platt scaling: probability = 1 / (1 + exp(-(slope * margin + intercept))), margin being the trees' log-odds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    slope: float
    intercept: float


class Thresholds(BaseModel):
    """The lowest scores (0 to 1) at which a payment is reviewed and declined."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    review: float = Field(ge=0, le=1)
    decline: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.review > self.decline:
            raise ValueError("the review threshold must not be above the decline threshold")
        return self


class TrainingWindow(BaseModel):
    """The first and last day (inclusive, YYYY-MM-DD) of the payments that the model was fitted on."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    first: str = Field(alias="from")
    last: str = Field(alias="to")


class Bundle(BaseModel):
    """What the scorer needs besides the trees; `bundle.json` is its `model_dump_json(by_alias=True)`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    features: tuple[str, ...] = FEATURES
    features_version: str = FEATURES_VERSION
    label_delay_days: int = LABEL_DELAY_DAYS
    customer_horizon_days: int = CUSTOMER_HORIZON_DAYS
    terminal_horizon_days: int = TERMINAL_HORIZON_DAYS
    bank_zone: Zone = Field(default=UTC, exclude_if=lambda zone: zone.is_utc)
    """The zone that night and weekend are local to, with its table; absent for UTC, as in bundles before zones."""
    calibration: Calibration
    thresholds: Thresholds
    reference: dict[str, float]
    """The features of a typical genuine payment; reasons are relative to its score."""
    training_window: TrainingWindow
    data_fingerprint: str
    metrics: dict[str, float]
    """Those that are defined on the test window."""


def decide(score: float, thresholds: Thresholds) -> Decision:
    """The decision for a score, which is a probability."""
    if score >= thresholds.decline:
        return "decline"
    return "review" if score >= thresholds.review else "approve"


def probability(margin: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Calibrated probabilities of margins (log-odds), in the same shape."""
    return 1.0 / (1.0 + np.exp(-(calibration.slope * margin + calibration.intercept)))


def read_bundle(root: Path) -> Bundle:
    """Read `bundle.json` below `root` and check that it fits this code. Raises `BundleError`."""
    try:
        bundle = Bundle.model_validate_json((root / METADATA).read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{METADATA} is missing from the model version: {REBUILD}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{METADATA} is invalid ({wrong}): {REBUILD}") from error
    check_fits(bundle)
    return bundle


def check_fits(bundle: Bundle) -> None:
    """Raise `BundleError` for a bundle with other features, another label delay or a longer horizon than this code."""
    if (bundle.features_version, bundle.features) != (FEATURES_VERSION, FEATURES):
        raise BundleError(
            f"{METADATA} is for features version {bundle.features_version} {list(bundle.features)}, "
            f"but this code computes version {FEATURES_VERSION} {list(FEATURES)}: {RETRAIN}"
        )
    if bundle.label_delay_days != LABEL_DELAY_DAYS:
        raise BundleError(
            f"label_delay_days in {METADATA} is {bundle.label_delay_days}, but this code uses {LABEL_DELAY_DAYS}: "
            f"{RETRAIN}"
        )
    for name, here in (
        ("customer_horizon_days", CUSTOMER_HORIZON_DAYS),
        ("terminal_horizon_days", TERMINAL_HORIZON_DAYS),
    ):
        if getattr(bundle, name) > here:
            raise BundleError(
                f"{name} in {METADATA} is {getattr(bundle, name)}, but this code keeps only {here} days: {RETRAIN}"
            )
    if missing := set(bundle.features) - set(bundle.reference):
        raise BundleError(f"reference in {METADATA} lacks {sorted(missing)}: {REBUILD}")


def manifest_of(root: Path, files: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file, by its path below `root`."""
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in sorted(files)}


def write_manifest(root: Path, files: Iterable[str]) -> None:
    """Write `manifest.json` below `root` for these files."""
    (root / MANIFEST).write_text(json.dumps({"files": manifest_of(root, files)}, indent=2) + "\n")


def read_manifest(root: Path) -> Mapping[str, str]:
    """The manifest below `root`: SHA-256 by path. Raises `BundleError` if it is missing or malformed."""
    try:
        files = json.loads((root / MANIFEST).read_bytes())["files"]
    except FileNotFoundError:
        raise BundleError(f"{MANIFEST} is missing from the model version: {REBUILD}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{MANIFEST} is not a manifest ({error!r}): {REBUILD}") from error
    if not isinstance(files, dict):
        raise BundleError(f"{MANIFEST} is not a manifest (files is not an object): {REBUILD}")
    return files


def verify(root: Path, files: Iterable[str]) -> None:
    """Check files below `root` against the manifest; call it before loading them. Raises `BundleError`."""
    listed = read_manifest(root)
    for name in files:
        if name not in listed:
            raise BundleError(f"{name} is not in {MANIFEST}: {REBUILD}")
        if not (root / name).is_file():
            raise BundleError(f"{name} is in {MANIFEST} but missing from the model version: {REBUILD}")
        if manifest_of(root, [name])[name] != listed[name]:
            raise BundleError(f"{name} is damaged (its SHA-256 differs from {MANIFEST}): {REBUILD}")

"""The model bundle: what the data scientist hands over and the scorer runs, one MLflow model version.

Below the root of the version's artifacts: the scikit-learn model as MLflow wrote it (skops), and `bundle/` with

| file | holds |
|---|---|
| `trees.treelite` | the same trees as a treelite checkpoint, which answers in microseconds |
| `bundle.json` | `Bundle`: how to make a score, a decision and reasons of them, and where they came from |
| `card.md`, `card.html` | the model card: what the model is good for, for people; the page holds its own pictures |
| `manifest.json` | `{"files": {path below the root: SHA-256}}` of every file the bundle needs |
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

BUNDLE_DIR: Final = "bundle"
TREES: Final = f"{BUNDLE_DIR}/trees.treelite"
METADATA: Final = f"{BUNDLE_DIR}/bundle.json"
CARD_MARKDOWN: Final = f"{BUNDLE_DIR}/card.md"
CARD_HTML: Final = f"{BUNDLE_DIR}/card.html"
MANIFEST: Final = f"{BUNDLE_DIR}/manifest.json"

MODEL_NAME: Final = "fraud"
CHAMPION: Final = "champion"

Decision = Literal["approve", "review", "decline"]


class BundleError(Exception):
    """A bundle that must not be used; says which file or field, and why."""


class Calibration(BaseModel):
    """A Platt pair: probability = 1 / (1 + exp(-(slope * margin + intercept))), margin the trees' raw log-odds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    slope: float
    intercept: float


class Thresholds(BaseModel):
    """The least scores to review and to decline, 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    review: float = Field(ge=0, le=1)
    decline: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.review > self.decline:
            raise ValueError("the threshold to review must not be above the one to decline")
        return self


class TrainingWindow(BaseModel):
    """The days whose payments the model was fitted on, both included, YYYY-MM-DD."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    first: str = Field(alias="from")
    last: str = Field(alias="to")


class Bundle(BaseModel):
    """Everything the scorer needs beside the trees, as `bundle.json` holds it (`model_dump_json(by_alias=True)`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    features: tuple[str, ...] = FEATURES
    features_version: str = FEATURES_VERSION
    label_delay_days: int = LABEL_DELAY_DAYS
    customer_horizon_days: int = CUSTOMER_HORIZON_DAYS
    terminal_horizon_days: int = TERMINAL_HORIZON_DAYS
    calibration: Calibration
    thresholds: Thresholds
    reference: dict[str, float]
    """A typical genuine payment: reasons say how far each feature moved the score away from it."""
    training_window: TrainingWindow
    data_fingerprint: str
    metrics: dict[str, float]


def decide(score: float, thresholds: Thresholds) -> Decision:
    """The decision for one score, a probability."""
    if score >= thresholds.decline:
        return "decline"
    return "review" if score >= thresholds.review else "approve"


def probability(margin: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Calibrated probabilities of raw margins (log-odds); shape kept."""
    return 1.0 / (1.0 + np.exp(-(calibration.slope * margin + calibration.intercept)))


def read_bundle(root: Path) -> Bundle:
    """The bundle below `root`, checked against what this code computes. Raises `BundleError`."""
    try:
        bundle = Bundle.model_validate_json((root / METADATA).read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{METADATA} is missing from the model version") from None
    except ValidationError as error:
        raise BundleError(f"{METADATA}: {error}") from error
    check_fits(bundle)
    return bundle


def check_fits(bundle: Bundle) -> None:
    """Refuse a bundle made for other features or a longer memory than this code has. Raises `BundleError`."""
    if (bundle.features_version, bundle.features) != (FEATURES_VERSION, FEATURES):
        raise BundleError(
            f"{METADATA}: made for features version {bundle.features_version} {list(bundle.features)}, "
            f"and this code computes version {FEATURES_VERSION} {list(FEATURES)}: train again"
        )
    if bundle.label_delay_days != LABEL_DELAY_DAYS:
        raise BundleError(f"{METADATA}: label delay {bundle.label_delay_days} days, here {LABEL_DELAY_DAYS}")
    for name, here in (
        ("customer_horizon_days", CUSTOMER_HORIZON_DAYS),
        ("terminal_horizon_days", TERMINAL_HORIZON_DAYS),
    ):
        if getattr(bundle, name) > here:
            raise BundleError(f"{METADATA}: {name} is {getattr(bundle, name)}, and here only {here} days are kept")
    if missing := set(bundle.features) - set(bundle.reference):
        raise BundleError(f"{METADATA}: reference lacks {sorted(missing)}")


def manifest_of(root: Path, files: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file, by its path below `root`."""
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in sorted(files)}


def write_manifest(root: Path, files: Iterable[str]) -> None:
    """Write `manifest.json` below `root` for these files."""
    (root / MANIFEST).write_text(json.dumps({"files": manifest_of(root, files)}, indent=2) + "\n")


def read_manifest(root: Path) -> Mapping[str, str]:
    """The manifest below `root`. Raises `BundleError` where there is none or it is not one."""
    try:
        files = json.loads((root / MANIFEST).read_bytes())["files"]
    except FileNotFoundError:
        raise BundleError(f"{MANIFEST} is missing from the model version") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{MANIFEST} is not a manifest: {error!r}") from error
    if not isinstance(files, dict):
        raise BundleError(f"{MANIFEST} is not a manifest: files is not an object")
    return files


def verify(root: Path, files: Iterable[str]) -> None:
    """Check files below `root` against the manifest, before anything loads them. Raises `BundleError`."""
    listed = read_manifest(root)
    for name in files:
        if name not in listed:
            raise BundleError(f"{name} is not in {MANIFEST}")
        if not (root / name).is_file():
            raise BundleError(f"{name} is in {MANIFEST} and missing from the model version")
        if manifest_of(root, [name])[name] != listed[name]:
            raise BundleError(f"{name} is damaged: its SHA-256 is not the one in {MANIFEST}")

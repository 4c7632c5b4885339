"""Model bundles without scikit-learn: three small trees, or others."""

from __future__ import annotations

from pathlib import Path

from treelite import Model

from contracts.bundle import (
    CARD_HTML,
    CARD_MARKDOWN,
    METADATA,
    TREES,
    Bundle,
    Calibration,
    Thresholds,
    TrainingWindow,
    write_manifest,
)
from contracts.features import FEATURES
from contracts.zones import UTC, Zone
from serving.model.champion import FILES
from tests.serving.forests import forest

REFERENCE = dict.fromkeys(FEATURES, 0.0) | {
    "amount": 61.0,
    "customer_tx_count_1d": 2.0,
    "customer_amount_mean_30d": 60.0,
    "terminal_tx_count_30d": 20.0,
}
STEPS = (
    ("amount", 500.0, -2.0, 2.5),
    ("terminal_fraud_rate_30d", 0.3, -0.5, 2.0),
    ("customer_tx_count_1d", 5.5, -0.5, 1.0),
)
"""Each tree: a feature, where it splits, and what it adds at or below and above."""


HTML = '<!doctype html><title>Card</title><p>Précis: <img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
MARKDOWN = "# Card\n\nPrécis.\n"


def write_bundle(
    root: Path,
    shift: float = 0.0,
    thresholds: tuple[float, float] = (0.5, 0.9),
    trees: Model | None = None,
    calibration: tuple[float, float] = (1.0, 0.0),
    zone: Zone = UTC,
) -> Path:
    """Write a complete bundle under `root`; `shift` is added to every margin, to tell versions apart."""
    (root / TREES).parent.mkdir(parents=True)
    (trees or step_trees(shift)).serialize(str(root / TREES))
    bundle = Bundle(
        bank_zone=zone,
        calibration=Calibration(slope=calibration[0], intercept=calibration[1]),
        thresholds=Thresholds(review=thresholds[0], decline=thresholds[1]),
        reference=REFERENCE,
        training_window=TrainingWindow.model_validate({"from": "2018-04-01", "to": "2018-04-30"}),
        data_fingerprint="of a test",
        metrics={"average_precision": 0.5},
    )
    (root / METADATA).write_text(bundle.model_dump_json(by_alias=True))
    (root / CARD_HTML).write_text(HTML)
    (root / CARD_MARKDOWN).write_text(MARKDOWN)
    write_manifest(root, FILES)
    return root


def margin(features: dict[str, float], shift: float = 0.0) -> float:
    """The sum of the trees, in plain Python."""
    return shift + sum(high if features[name] > at else low for name, at, low, high in STEPS)


def step_trees(shift: float) -> Model:
    """The trees of `STEPS`."""
    return forest([(FEATURES.index(name), at, low, high) for name, at, low, high in STEPS], len(FEATURES), shift)

"""Model bundles without scikit-learn: three small trees by treelite's own builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from treelite import Model
from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

from contracts.bundle import METADATA, TREES, Bundle, Calibration, Thresholds, TrainingWindow, write_manifest
from contracts.features import FEATURES

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


def write_bundle(root: Path, shift: float = 0.0, thresholds: tuple[float, float] = (0.5, 0.9)) -> Path:
    """A whole bundle below `root`; `shift` is added to every margin, so that versions can be told apart."""
    (root / TREES).parent.mkdir(parents=True)
    _trees(shift).serialize(str(root / TREES))
    bundle = Bundle(
        calibration=Calibration(slope=1.0, intercept=0.0),
        thresholds=Thresholds(review=thresholds[0], decline=thresholds[1]),
        reference=REFERENCE,
        training_window=TrainingWindow.model_validate({"from": "2018-04-01", "to": "2018-04-30"}),
        data_fingerprint="of a test",
        metrics={"average_precision": 0.5},
    )
    (root / METADATA).write_text(bundle.model_dump_json(by_alias=True))
    write_manifest(root, [TREES, METADATA])
    return root


def margin(features: dict[str, float], shift: float = 0.0) -> float:
    """What the trees give, in plain Python."""
    return shift + sum(high if features[name] > at else low for name, at, low, high in STEPS)


def _trees(shift: float) -> Model:
    builder: Any = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(
            num_feature=len(FEATURES),
            task_type="kBinaryClf",
            average_tree_output=False,
            num_target=1,
            num_class=[1],
            leaf_vector_shape=(1, 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=len(STEPS), target_id=[0] * len(STEPS), class_id=[0] * len(STEPS)),
        postprocessor=PostProcessorFunc(name="sigmoid"),
        base_scores=[shift],
    )
    for name, at, low, high in STEPS:
        builder.start_tree()
        builder.start_node(0)
        builder.numerical_test(
            FEATURES.index(name), at, default_left=True, opname="<=", left_child_key=1, right_child_key=2
        )
        builder.end_node()
        for key, value in ((1, low), (2, high)):
            builder.start_node(key)
            builder.leaf(value)
            builder.end_node()
        builder.end_tree()
    model: Model = builder.commit()
    return model

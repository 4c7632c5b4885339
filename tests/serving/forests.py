"""Trees of any shape, built with treelite's model builder, and random trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from treelite import Model
from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

Tree: TypeAlias = float | tuple[int, float, "Tree", "Tree"]
"""A leaf's value; or a feature's position, where it splits, and what is at or below and above."""


def forest(
    trees: Sequence[Tree], features: int, base: float = 0.0, operator: str = "<=", average: bool = False
) -> Model:
    """A model whose margin is `base` and the sum of these trees, or their average; `in` splits by categories."""
    builder: Any = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(
            num_feature=features,
            task_type="kBinaryClf",
            average_tree_output=average,
            num_target=1,
            num_class=[1],
            leaf_vector_shape=(1, 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=len(trees), target_id=[0] * len(trees), class_id=[0] * len(trees)),
        postprocessor=PostProcessorFunc(name="sigmoid"),
        base_scores=[base],
    )
    for tree in trees:
        builder.start_tree()
        _build(builder, tree, operator)
        builder.end_tree()
    model: Model = builder.commit()
    return model


def random_tree(random: np.random.Generator, leaves: int, features: int, bounds: int = 10) -> Tree:
    """A tree with so many leaves that splits at whole numbers below `bounds`, by any feature and again by the same."""
    if leaves == 1:
        return float(random.normal())
    left = int(random.integers(1, leaves))
    below, above = (random_tree(random, size, features, bounds) for size in (left, leaves - left))
    return int(random.integers(features)), float(random.integers(bounds)), below, above


def _build(builder: Any, tree: Tree, operator: str) -> None:
    waiting, keys = [(0, tree)], 1
    while waiting:
        key, node = waiting.pop()
        builder.start_node(key)
        if isinstance(node, tuple):
            feature, at, low, high = node
            ways: dict[str, Any] = {"default_left": True, "left_child_key": keys, "right_child_key": keys + 1}
            if operator == "in":
                builder.categorical_test(feature, category_list=[int(at)], category_list_right_child=False, **ways)
            else:
                builder.numerical_test(feature, at, opname=operator, **ways)
            waiting += [(keys, low), (keys + 1, high)]
            keys += 2
        else:
            builder.leaf(node)
        builder.end_node()

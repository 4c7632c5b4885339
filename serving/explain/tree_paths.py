"""Read the leaves of a model's trees, and the conditions on the path to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
import treelite
from numpy.typing import NDArray

from contracts.bundle import TREES, BundleError
from contracts.histories import Floats

_LEAF: Final = 0
_BY_NUMBER: Final = 1
_AT_MOST: Final = 3
"""Treelite's numbers for node types and operators: leaf, numerical split, and <=, which goes left if it holds.

The branch of a missing value does not matter: no feature is ever missing.
"""

Path = dict[int, tuple[float, float]]
"""What a leaf asks: for each feature that its path splits by, a number above the first and at most the second."""


@dataclass(frozen=True)
class Leaves:
    """All leaves: `values`, shape (leaves,), and their conditions in order, one for each leaf and feature on its path.

    `leaf`, `feature`, `above` and `at_most` have shape (conditions,). A payment meets a condition where above < its
    value of the feature <= at_most, and reaches the leaves of which it meets all.
    """

    values: Floats
    leaf: NDArray[np.intp]
    feature: NDArray[np.intp]
    above: Floats
    at_most: Floats

    def met(self, payment: Floats) -> NDArray[np.bool_]:
        """Which conditions a payment, shape (features,), meets; shape (conditions,)."""
        value = payment[self.feature]
        return (self.above < value) & (value <= self.at_most)


def read_leaves(trees: treelite.Model) -> Leaves:
    """The leaves of all trees. Raises `BundleError` for a split that is not by `value <= threshold`."""
    found = [leaf for number in range(trees.num_tree) for leaf in _leaves_of(trees, number)]
    conditions = [(n, feature, *bounds) for n, (_, path) in enumerate(found) for feature, bounds in path.items()]
    leaf, feature, above, at_most = np.array(conditions, dtype=np.float64).reshape(-1, 4).T.copy()
    values = np.array([value for value, _ in found], dtype=np.float64)
    return Leaves(values, leaf.astype(np.intp), feature.astype(np.intp), above, at_most)


def _leaves_of(trees: treelite.Model, number: int) -> Iterator[tuple[float, Path]]:
    """Each leaf of one tree: its value and its path."""
    kind, operator, left, right, split, threshold, value = _fields(trees, number)
    waiting: list[tuple[int, Path]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        if kind[node] == _LEAF:
            yield value[node], path
            continue
        if (kind[node], operator[node]) != (_BY_NUMBER, _AT_MOST):
            raise BundleError(
                f"tree {number} in {TREES} has a split other than value <= threshold, which reasons cannot use: "
                "train trees without such splits"
            )
        at, feature = threshold[node], int(split[node])
        above, at_most = path.get(feature, (-inf, inf))
        waiting.append((int(right[node]), path | {feature: (max(above, at), at_most)}))
        waiting.append((int(left[node]), path | {feature: (above, min(at_most, at))}))


def _fields(trees: treelite.Model, number: int) -> Iterator[list[float]]:
    """The columns of one tree's node table that are used here."""
    tree = trees.get_tree_accessor(number)
    names = ("node_type", "cmp", "cleft", "cright", "split_index", "threshold", "leaf_value")
    return (tree.get_field(name).tolist() for name in names)

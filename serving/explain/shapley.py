"""Exact Shapley values of the trees: each feature's contribution to a margin, against one reference payment.

The game is v(S) = the margin of a payment that has its own values in S and the reference's elsewhere, so the values add
up to margin(payment) - margin(reference). Per leaf they have a closed form (Lundberg et al. 2020, "From local
explanations to global understanding with explainable AI for trees", interventional TreeSHAP). Of the features on its
path let i be those whose conditions the payment meets and the reference does not, j those for which it is the other way
round. If some condition is met by neither, the leaf contributes nothing; else each of the i gains
leaf * (i - 1)! j! / (i + j)!, and each of the j loses leaf * i! (j - 1)! / (i + j)!.

With one leaf of 6.0 at amount > 500 and is_night = 1, all others 0.0, and a reference of 61 by day: 900 at night
has i = 2 and j = 0 there, so each of the two features gains 3.0.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from contracts.histories import Floats
from serving.explain.tree_paths import Leaves


@dataclass(frozen=True)
class Reach:
    """Which leaves contribute to a payment: those whose every condition is met by it or by the reference.

    `bounds[f]` are the limits in the conditions on feature f that the reference does not meet, ascending. `barred`,
    shape (ranks of all features, leaves / 8), has one bitmask for each rank that a value can have among them: the
    leaves that such a value excludes. `first[f]` is the row offset of feature f in it.
    """

    leaves: int
    bounds: tuple[list[float], ...]
    first: tuple[int, ...]
    barred: NDArray[np.uint8]

    def by(self, payment: Floats) -> NDArray[np.intp]:
        """The leaves that contribute, in order."""
        parts = zip(self.first, self.bounds, payment.tolist(), strict=True)
        rows = [first + bisect_left(bounds, value) for first, bounds, value in parts]
        return np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(self.barred[rows]), count=self.leaves) == 0)


@dataclass(frozen=True)
class Game:
    """What is precomputed from the trees and the reference.

    `begins`, `sizes` and `apart`, shape (leaves,): where a leaf's conditions begin, how many there are, and how many of
    them the reference does not meet. `met`, shape (conditions,): which it does. `shares[i, j]`, shape
    (features + 1, features + 1): (i - 1)! j! / (i + j)!, and 0 for i = 0.
    """

    leaves: Leaves
    begins: NDArray[np.intp]
    sizes: NDArray[np.intp]
    apart: NDArray[np.intp]
    met: NDArray[np.bool_]
    shares: Floats
    reach: Reach


def game_of(leaves: Leaves, reference: Floats) -> Game:
    """The game of these trees against one reference, shape (features,)."""
    met = leaves.met(reference)
    sizes = np.bincount(leaves.leaf, minlength=len(leaves.values))
    apart = np.bincount(leaves.leaf[~met], minlength=len(leaves.values))
    most = range(len(reference) + 1)
    shares = np.array([[1 / (i * comb(i + j, i)) if i else 0.0 for j in most] for i in most])
    return Game(leaves, np.cumsum(sizes) - sizes, sizes, apart, met, shares, _reach(leaves, met, len(reference)))


def _reach(leaves: Leaves, met: NDArray[np.bool_], features: int) -> Reach:
    parts = [_barred(leaves, ~met & (leaves.feature == feature)) for feature in range(features)]
    bounds, barred = zip(*parts, strict=True)
    sizes = np.array([len(rows) for rows in barred])
    return Reach(len(leaves.values), bounds, tuple((np.cumsum(sizes) - sizes).tolist()), np.concatenate(barred))


def _barred(leaves: Leaves, chosen: NDArray[np.bool_]) -> tuple[list[float], NDArray[np.uint8]]:
    """The bounds of chosen conditions, all on one feature, and for each rank among them a bitmask of barred leaves."""
    above, at_most = leaves.above[chosen], leaves.at_most[chosen]
    bounds = np.unique(np.concatenate([above, at_most]))
    rank = np.arange(len(bounds) + 1)[:, np.newaxis]
    barred = np.zeros((len(rank), len(leaves.values)), dtype=bool)
    barred[:, leaves.leaf[chosen]] = (rank <= np.searchsorted(bounds, above)) | (
        rank > np.searchsorted(bounds, at_most)
    )
    return bounds.tolist(), np.packbits(barred, axis=1)


def shapley_values(game: Game, payment: Floats) -> Floats:
    """The contribution of each feature of one payment to its margin; both of shape (features,)."""
    reached = game.reach.by(payment)
    sizes = game.sizes[reached]
    # The conditions of each reached leaf in turn, and for each the index of its leaf among the reached.
    at = np.repeat(np.arange(len(reached)), sizes)
    condition = np.arange(len(at)) + np.repeat(game.begins[reached] - (np.cumsum(sizes) - sizes), sizes)
    feature = game.leaves.feature[condition]
    value = payment[feature]
    lost = (value <= game.leaves.above[condition]) | (value > game.leaves.at_most[condition])
    away, towards = np.bincount(at[lost], minlength=len(reached)), game.apart[reached]
    gain = game.leaves.values[reached] * game.shares[towards, away]
    loss = game.leaves.values[reached] * game.shares[away, towards]
    parts = np.where(game.met[condition], np.where(lost, -loss[at], 0.0), gain[at])
    return np.asarray(np.bincount(feature, parts, len(payment)), dtype=np.float64)

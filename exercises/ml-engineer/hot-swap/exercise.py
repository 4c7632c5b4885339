"""Replace the model in a running process: no request fails, and none is answered by two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts.bundle import BundleError

REFERENCE_AMOUNT = 40.0
"""A payment whose score is known for each model: what a model is tried on."""
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Model:
    """One version, loaded. `score` makes a probability of an amount; from `threshold` on it is declined.

    `reference_score` is what the score of `REFERENCE_AMOUNT` was when the model was trained.
    """

    version: str
    score: Callable[[float], float]
    threshold: float
    reference_score: float


@dataclass(frozen=True)
class Answer:
    """What a request is given: a score 0 to 1, `approve` or `decline`, and the version that both are of."""

    score: float
    decision: str
    version: str


class NotReadyError(Exception):
    """There is no champion yet."""


class Champions:
    """Holds the champion, the model in use. Many threads call `score` at once; one thread calls `take` now and then.

    `Champions(load)`: `load(version)` gives a `Model` after some seconds, or raises `BundleError` for a damaged one.
    `take(version) -> bool`: load it, try it, and use it from then on; whether that was done. No damaged version raises.
    `score(amount) -> Answer`: by the champion, decline where its score >= its threshold; `NotReadyError` without one.
    """

    # --- your work: begin
    raise NotImplementedError("your work goes here")
    # --- your work: end

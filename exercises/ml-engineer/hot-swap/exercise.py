"""Replace the model in a running process: no request fails, and none mixes two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts.bundle import BundleError

REFERENCE_AMOUNT = 40.0
"""A payment whose score is known for each model, to test it."""
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Model:
    """One version, loaded. `score` turns an amount into a probability; from `threshold` on it is declined.

    `reference_score` is the score of `REFERENCE_AMOUNT` when the model was trained.
    """

    version: str
    score: Callable[[float], float]
    threshold: float
    reference_score: float


@dataclass(frozen=True)
class Answer:
    """The answer to a request: a score 0 to 1, `approve` or `decline`, and the model's version."""

    score: float
    decision: str
    version: str


class NotReadyError(Exception):
    """There is no champion yet."""


class Champions:
    """Holds the champion, the model in use. Many threads call `score` at once; one thread calls `take` now and then.

    `Champions(load)`: `load(version)` returns a `Model` after some seconds, or raises `BundleError` for a damaged one.
    `take(version) -> bool`: load, test and use a version; False if it is rejected. A damaged version never raises.
    `score(amount) -> Answer`: decline if the champion's score >= its threshold; `NotReadyError` without a champion.
    """

    # --- your work: begin
    raise NotImplementedError("your work goes here")
    # --- your work: end

"""What training hands to evaluation: all of the bundle that is known before the test."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contracts.bundle import Calibration, Thresholds, probability
from contracts.days import DayRange
from modeling.data.split import Split, split_days


class Decider(BaseModel):
    """What makes a score and a decision of a model's margin, fitted on the validation window."""

    model_config = ConfigDict(frozen=True)

    calibration: Calibration
    thresholds: Thresholds

    def scores(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities; shape kept."""
        return probability(margins, self.calibration)


class Candidate(BaseModel):
    """Kept with the run as `candidate.json`; the days are those that training was asked for."""

    model_config = ConfigDict(frozen=True)

    first: date
    last: date
    history_from: date
    reviews_per_1000: float
    decider: Decider
    baseline: Decider
    reference: dict[str, float]
    data_fingerprint: str
    parameters_fingerprint: str
    held_to_amount: bool = True

    @property
    def split(self) -> Split:
        """The windows, from the same days again."""
        return split_days(DayRange(self.first, self.last))

"""The candidate: what training passes to evaluation, stored with the MLflow run."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contracts.bundle import Calibration, Thresholds, probability
from contracts.days import DayRange
from contracts.zones import UTC, Zone
from modeling.data.split import Split, split_days


class DecisionPolicy(BaseModel):
    """Calibration and thresholds of a model, fitted on the validation window."""

    model_config = ConfigDict(frozen=True)

    calibration: Calibration
    thresholds: Thresholds

    def scores(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities of margins, in the same shape."""
        return probability(margins, self.calibration)


class Candidate(BaseModel):
    """A trained candidate, stored as `candidate.json`; `first` and `last` are the days given to training."""

    model_config = ConfigDict(frozen=True)

    first: date
    last: date
    history_from: date
    reviews_per_1000: float
    decider: DecisionPolicy
    baseline: DecisionPolicy
    reference: dict[str, float]
    data_fingerprint: str
    parameters_fingerprint: str
    held_to_amount: bool = True
    bank_zone: Zone = UTC
    """The zone of the features, which was UTC before zones existed."""

    @property
    def split(self) -> Split:
        """The windows, computed from the days."""
        return split_days(DayRange(self.first, self.last))

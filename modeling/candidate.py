"""What training hands to evaluation: all of the bundle that is known before the test."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from contracts.bundle import Calibration, Thresholds
from contracts.days import DayRange
from modeling.split import Split, split_days


class Candidate(BaseModel):
    """Kept with the run as `candidate.json`; the days are those that training was asked for."""

    model_config = ConfigDict(frozen=True)

    first: date
    last: date
    calibration: Calibration
    thresholds: Thresholds
    reference: dict[str, float]
    data_fingerprint: str

    @property
    def split(self) -> Split:
        """The windows, from the same days again."""
        return split_days(DayRange(self.first, self.last))

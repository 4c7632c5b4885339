"""Request and response bodies. Payments and fraud reports are defined in `contracts/transaction.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from contracts.bundle import Decision, Thresholds, TrainingWindow
from contracts.transaction import FraudReport, Id, Transaction

MAX_BATCH_SIZE: Final = 5_000


class TransactionBatch(BaseModel):
    """Payments, in any order; they are scored in order of time."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    transactions: Annotated[list[Transaction], Field(max_length=MAX_BATCH_SIZE)]


class ReportBatch(BaseModel):
    """Fraud reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reports: Annotated[list[FraudReport], Field(max_length=MAX_BATCH_SIZE)]


class ReasonOut(BaseModel):
    """One feature's part in a score; `contribution` is in log-odds, positive if it raises the score.

    It is the feature's exact Shapley value against a typical genuine payment.
    """

    feature: str
    value: float
    contribution: float
    text: str


class Answer(BaseModel):
    """A payment's score (a probability), the decision and its reasons, the strongest first.

    At most five reasons for a review or a decline, none for an approval; with `explain`, one for every feature.
    """

    model_config = ConfigDict(protected_namespaces=())
    transaction_id: Id
    score: float
    decision: Decision
    reasons: list[ReasonOut]
    model_version: str
    degraded: bool = Field(
        description="Scored on an incomplete history: the payment arrived very late, or the online store was "
        "unavailable"
    )


class BatchAnswer(BaseModel):
    """A response for each payment, in the order of the request."""

    results: list[Answer]


class DecisionOut(Answer):
    """A response with its features."""

    features: dict[str, float]
    decided_at: datetime


class ReportsAnswer(BaseModel):
    """How many reports were accepted, and the ids of unknown payments."""

    accepted: int
    unknown: list[Id]


class ModelOut(BaseModel):
    """The model in use."""

    version: str
    thresholds: Thresholds
    training_window: TrainingWindow
    metrics: dict[str, float]
    features: list[str]
    features_version: str
    problem: str = Field(description="Why the registry's champion may not be in use; empty if nothing is wrong")
    reference_log_odds: float = Field(
        description="The log-odds of a typical genuine payment's score, from which contributions are measured"
    )


class Problem(BaseModel):
    """What is wrong with the request or the service."""

    detail: str

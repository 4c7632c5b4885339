"""Records: a payment's first answer as it is stored, and what a caller sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson

from contracts.bundle import Decision, decide
from contracts.features import FEATURES
from contracts.histories import Floats
from contracts.transaction import from_epoch_seconds
from serving.explain.reasons import reasons
from serving.model.champion import Champion
from serving.online_store.protocol import Claim
from serving.scoring.features import Computed
from serving.scoring.payment import Payment

Record = dict[str, Any]
"""A decision with its inputs: a row of serving.decisions, as JSON."""

ANSWER_KEYS: Final = ("transaction_id", "score", "decision", "reasons", "model_version", "degraded")
DECISION_KEYS: Final = (*ANSWER_KEYS, "features", "decided_at")


def make_records(
    champion: Champion, claims: Sequence[Claim], computed: Computed, scores: Floats, decided_at: datetime
) -> list[Record]:
    """Decide and explain n claimed payments, given their features and scores, shape (n,)."""
    decisions = [decide(score, champion.bundle.thresholds) for score in scores.tolist()]
    whys = _reasons_of_flagged(champion, computed, decisions)
    at = iso(decided_at)
    rows = zip(
        claims, computed.matrix.tolist(), scores.tolist(), decisions, whys, computed.degraded.tolist(), strict=True
    )
    return [
        _payment_part(claim.payment)
        | {
            "score": score,
            "decision": decision,
            "reasons": why,
            "model_version": champion.version,
            "degraded": degraded,
            "features": dict(zip(FEATURES, features, strict=True)),
            "features_version": champion.bundle.features_version,
            "applied": claim.applied,
            "decided_at": at,
        }
        for claim, features, score, decision, why, degraded in rows
    ]


def _payment_part(payment: Payment) -> Record:
    return {
        "transaction_id": payment.transaction_id,
        "customer_id": payment.customer_id,
        "terminal_id": payment.terminal_id,
        "amount": f"{payment.cents // 100}.{payment.cents % 100:02d}",
        "occurred_at": iso(from_epoch_seconds(payment.second)),
    }


def _reasons_of_flagged(champion: Champion, computed: Computed, decisions: list[Decision]) -> list[list[Record]]:
    flagged = [n for n, decision in enumerate(decisions) if decision != "approve"]
    whys: list[list[Record]] = [[] for _ in decisions]
    if flagged:
        found = reasons(champion, computed.matrix[flagged], [decisions[n] for n in flagged])
        for n, why in zip(flagged, found, strict=True):
            whys[n] = [reason.as_dict() for reason in why]
    return whys


def explained(champion: Champion, record: Record) -> Record:
    """The record with a reason for every feature, whatever the decision.

    Only the model that decided can explain: if another has replaced it, the record is returned as it was stored.
    """
    if record["model_version"] != champion.version:
        return record
    matrix = np.array([[record["features"][name] for name in FEATURES]])
    (why,) = reasons(champion, matrix, [record["decision"]], limit=None)
    return record | {"reasons": [reason.as_dict() for reason in why]}


def iso(instant: datetime) -> str:
    """An instant in UTC as ISO 8601, ending in Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def pack(record: Record) -> bytes:
    """The record as it is stored."""
    # Copied: what orjson returns has room for 8 KB or more, and thousands of records are kept.
    return bytes(memoryview(orjson.dumps(record)))


def unpack(kept: bytes) -> Record:
    """A stored record."""
    record: Record = orjson.loads(kept)
    return record


def answer_of(record: Record) -> Record:
    """What the caller of a score gets."""
    return {key: record[key] for key in ANSWER_KEYS}


def decision_of(record: Record) -> Record:
    """What a decision endpoint returns."""
    return {key: record[key] for key in DECISION_KEYS}

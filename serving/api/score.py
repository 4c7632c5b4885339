"""POST /v1/score: score one payment."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from contracts.transaction import Transaction
from serving.api.bounded_body import PaymentRoute
from serving.api.deps import Explain, ServicesDep, as_json, documented_key, reject_future_instants
from serving.api.error_handlers import BODY, COMMON, CONFLICT, TOO_LARGE, UNREADABLE
from serving.api.schemas import Answer
from serving.scoring.decision_records import answer_of
from serving.scoring.payment import Payment

router = APIRouter(tags=["score"], dependencies=[documented_key], route_class=PaymentRoute)
RESPONSES: Final = COMMON | BODY | CONFLICT | TOO_LARGE | UNREADABLE


@router.post("/v1/score", response_model=Answer, responses=RESPONSES)
async def score(transaction: Transaction, services: ServicesDep, explain: Explain = False) -> Response:
    """Score one payment. A repeated request returns its first response."""
    reject_future_instants(services.clock(), [(("occurred_at",), transaction.occurred_at)])
    return as_json(answer_of(await services.scorer.score(Payment.of(transaction), explain)))

"""POST /v1/score/batch: score many payments."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from serving.api.bounded_body import BatchRoute
from serving.api.deps import Explain, ServicesDep, as_json, documented_key, reject_future_instants
from serving.api.error_handlers import BODY, COMMON, CONFLICT, TOO_LARGE, UNREADABLE
from serving.api.schemas import BatchAnswer, TransactionBatch
from serving.scoring.decision_records import answer_of
from serving.scoring.payment import Payment

router = APIRouter(tags=["score"], dependencies=[documented_key], route_class=BatchRoute)
RESPONSES: Final = COMMON | BODY | CONFLICT | TOO_LARGE | UNREADABLE


@router.post("/v1/score/batch", response_model=BatchAnswer, responses=RESPONSES)
async def score_batch(batch: TransactionBatch, services: ServicesDep, explain: Explain = False) -> Response:
    """Score up to 5,000 payments, in order of time; the responses are in the order of the request.

    If one is invalid or conflicts, none is scored.
    """
    reject_future_instants(
        services.clock(),
        ((("transactions", n, "occurred_at"), one.occurred_at) for n, one in enumerate(batch.transactions)),
    )
    records = await services.scorer.score_batch([Payment.of(one) for one in batch.transactions], explain)
    return as_json({"results": [answer_of(record) for record in records]})

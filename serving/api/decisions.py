"""GET /v1/decisions/{id}: the decision on a payment and its features."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from contracts.transaction import MAX_ID
from serving.api.deps import ServicesDep, as_json, documented_key
from serving.api.error_handlers import COMMON, NOT_FOUND
from serving.api.schemas import DecisionOut
from serving.scoring.decision_records import decision_of

router = APIRouter(tags=["decisions"], dependencies=[documented_key])


@router.get("/v1/decisions/{transaction_id}", response_model=DecisionOut, responses=COMMON | NOT_FOUND)
async def decision(transaction_id: Annotated[int, Path(ge=0, lt=MAX_ID + 1)], services: ServicesDep) -> Response:
    """The response to a payment, its feature values, and the time of the decision."""
    record = await services.lookup.find(transaction_id)
    if record is None:
        raise HTTPException(404, f"no decision on transaction {transaction_id}")
    return as_json(decision_of(record))

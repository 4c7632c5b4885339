"""GET /v1/decisions/{id}: the decision on a payment and its features."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from valkey.exceptions import ValkeyError

from contracts.transaction import MAX_ID
from serving.api.deps import ServicesDep, as_json, documented_key
from serving.api.error_handlers import COMMON, NOT_FOUND
from serving.api.schemas import DecisionOut
from serving.errors import NotReadyError
from serving.scoring.decision_records import Record, decision_of, unpack
from serving.services import Services

router = APIRouter(tags=["decisions"], dependencies=[documented_key])


@router.get("/v1/decisions/{transaction_id}", response_model=DecisionOut, responses=COMMON | NOT_FOUND)
async def decision(transaction_id: Annotated[int, Path(ge=0, lt=MAX_ID + 1)], services: ServicesDep) -> Response:
    """The response to a payment, its feature values, and the time of the decision."""
    record = await _find(services, transaction_id)
    if record is None:
        raise HTTPException(404, f"no decision on transaction {transaction_id}")
    return as_json(decision_of(record))


async def _find(services: Services, transaction_id: int) -> Record | None:
    """Look in the online store, then in the log. Raises the store's error if it is down and the log has no decision."""
    unavailable: Exception | None = None
    if services.breaker.problem:
        unavailable = NotReadyError(
            f"transaction {transaction_id} is not in the decision log, and the online store is not in use: retry"
        )
    else:
        try:
            if kept := await services.store.answer(transaction_id):
                return unpack(kept)
        except ValkeyError as error:
            unavailable = error
    record = (await services.log.find([transaction_id])).get(transaction_id)
    if record is None and unavailable:
        raise unavailable
    return record

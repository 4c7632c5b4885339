"""GET /v1/decisions/{id}: what was decided on a payment, and on what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from valkey.exceptions import ValkeyError

from contracts.transaction import MAX_ID
from serving.api.deps import ServicesDep, as_json, documented_key
from serving.api.error_handlers import COMMON, NOT_FOUND
from serving.api.schemas import DecisionOut
from serving.errors import NotReadyError
from serving.scoring.records import Record, decision_of, unpack
from serving.services import Services

router = APIRouter(tags=["decisions"], dependencies=[documented_key])


@router.get("/v1/decisions/{transaction_id}", response_model=DecisionOut, responses=COMMON | NOT_FOUND)
async def decision(transaction_id: Annotated[int, Path(ge=0, lt=MAX_ID + 1)], services: ServicesDep) -> Response:
    """The answer to a payment, the values of its features, and when it was given."""
    record = await _find(services, transaction_id)
    if record is None:
        raise HTTPException(404, f"there is no decision on transaction {transaction_id}")
    return as_json(decision_of(record))


async def _find(services: Services, transaction_id: int) -> Record | None:
    """From the online state, else from the log; where the first is away, only what the second knows is sure."""
    away: Exception | None = None
    if services.online.problem:
        away = NotReadyError(f"the online state is not in use: {services.online.problem}")
    else:
        try:
            if kept := await services.state.answer(transaction_id):
                return unpack(kept)
        except ValkeyError as error:
            away = error
    record = (await services.log.find([transaction_id])).get(transaction_id)
    if record is None and away:
        raise away
    return record

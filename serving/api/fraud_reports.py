"""POST /v1/fraud-reports: payments reported as fraud."""

from __future__ import annotations

from fastapi import APIRouter

from serving.api.bounded_body import BatchRoute
from serving.api.deps import ServicesDep, documented_key, reject_future_instants
from serving.api.error_handlers import BODY, COMMON, TOO_LARGE, UNREADABLE
from serving.api.schemas import ReportBatch, ReportsAnswer

router = APIRouter(tags=["reports"], dependencies=[documented_key], route_class=BatchRoute)


@router.post("/v1/fraud-reports", responses=COMMON | BODY | TOO_LARGE | UNREADABLE)
async def report(batch: ReportBatch, services: ServicesDep) -> ReportsAnswer:
    """Accept up to 5,000 reports. The earliest report of a payment counts."""
    reject_future_instants(
        services.clock(), ((("reports", n, "reported_at"), one.reported_at) for n, one in enumerate(batch.reports))
    )
    outcome = await services.reporter.take(batch.reports)
    return ReportsAnswer(accepted=outcome.accepted, unknown=outcome.unknown)

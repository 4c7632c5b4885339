"""GET /v1/model: the model in use."""

from __future__ import annotations

from fastapi import APIRouter

from serving.api.deps import ServicesDep, documented_key
from serving.api.error_handlers import COMMON
from serving.api.schemas import ModelOut

router = APIRouter(tags=["model"], dependencies=[documented_key])


@router.get("/v1/model", responses=COMMON)
async def model(services: ServicesDep) -> ModelOut:
    """The version in use: its thresholds, training window, metrics and reference log-odds."""
    champion = services.champions.current
    bundle = champion.bundle
    return ModelOut(
        version=champion.version,
        thresholds=bundle.thresholds,
        training_window=bundle.training_window,
        metrics=bundle.metrics,
        features=list(bundle.features),
        features_version=bundle.features_version,
        problem=services.champions.problem,
        reference_log_odds=champion.reference_log_odds,
    )

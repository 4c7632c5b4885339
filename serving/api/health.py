"""GET /livez, /readyz, /metrics: health of the service."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from serving.api.deps import ReadinessDep, ServicesDep

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez(services: ServicesDep) -> JSONResponse:
    """200 while the event loop and the background tasks run; otherwise restart the scorer."""
    dead = services.background.dead()
    return JSONResponse({"alive": not dead, "dead_tasks": dead}, 503 if dead else 200)


@router.get("/readyz")
async def readyz(readiness: ReadinessDep) -> JSONResponse:
    """200 if payments can be scored with history, else 503; the body has each part's state.

    `degraded` is true if the check of any part fails. With only the decision log unavailable, the scorer stays ready,
    its answers are not degraded, and decisions wait in the outbox.
    """
    return JSONResponse(readiness.as_dict(), 200 if readiness.ready else 503)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """All metrics, for Prometheus; some tenths of a second old if they are requested very often."""
    return Response(request.app.state.metrics_page.result(), media_type=CONTENT_TYPE_LATEST)

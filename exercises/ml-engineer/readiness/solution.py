"""Two health checks: whether the process is alive, and whether it can score a payment now."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.responses import JSONResponse


@dataclass
class Parts:
    """What the scorer needs to score; both come and go while it runs.

    `model` is the version in use, None while there is none. `ping_store` checks the store of
    histories: it returns nothing, or raises `ConnectionError`.
    """

    model: str | None
    ping_store: Callable[[], Awaitable[None]]


def create_app(parts: Parts) -> FastAPI:
    """The application, with two paths.

    `GET /livez`: always 200, checks no part. `GET /readyz`: 200 while both parts are up, else 503; either way
    `{"ready": bool, "missing": [names]}`, the names `model` and `store`.
    """
    app = FastAPI()

    # --- your work: begin
    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"alive": True}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        missing = ["model"] if parts.model is None else []
        try:
            await parts.ping_store()
        except ConnectionError:
            missing.append("store")
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    # --- your work: end
    return app

"""GET /openapi.json: the OpenAPI document, with integer bounds written as integers."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response

BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def add_openapi(app: FastAPI) -> None:
    """Serve the document; the application must be created with `openapi_url=None`.

    Integer bounds are written as integers: FastAPI writes 2^63 as 9.223372036854776e18, which is a different number.
    It is rendered once: it needs no key, and rendering takes as long as scoring some payments.
    """
    made = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        found: dict[str, Any] = made()
        _write_integers(found)
        return found

    @cache
    def rendered() -> bytes:
        return orjson.dumps(app.openapi())

    async def document(_: Request) -> Response:
        return Response(rendered(), media_type="application/json")

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_route("/openapi.json", document, include_in_schema=False)


def _write_integers(part: Any) -> None:
    if isinstance(part, dict):
        for name in BOUNDS:
            if isinstance(part.get(name), float) and part[name].is_integer():
                part[name] = int(part[name])
        for value in part.values():
            _write_integers(value)
    elif isinstance(part, list):
        for value in part:
            _write_integers(value)

"""The OpenAPI document, with integer bounds written as integers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def add_openapi(app: FastAPI) -> None:
    """Write integer bounds as integers: FastAPI writes 2^63 as 9.223372036854776e18, which is a different number."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        found: dict[str, Any] = made()
        _write_integers(found)
        return found

    app.openapi = openapi  # type: ignore[method-assign]


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

"""GET /docs: the API documentation, with Swagger UI's files from a package, so that it works without a network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

ASSETS: Final = "/docs/assets"
POLICY: Final = (
    "default-src 'none'; script-src 'self' '{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = APIRouter(include_in_schema=False)


class Assets(StaticFiles):
    """Files that change only with their package, so browsers may cache them for a day.

    They are sent from memory, and whole: a client that does not read would otherwise keep a file open, and a request
    for many ranges is as much work as many requests. A path that is not the name of one is not looked up on the disk,
    which is a call to the system for each of its parts.
    """

    def get_path(self, scope: Scope) -> str:
        """The name of a file, empty if there is none of that name."""
        name = scope["path"].rpartition("/")[2]
        known = name in _names(tuple(self.all_directories)) and scope["path"] == f"{scope['root_path']}/{name}"
        return name if known else ""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, or 304 if the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=86400"
        if not isinstance(response, FileResponse):
            return response
        del response.headers["Accept-Ranges"]
        return Response(_content(os.fspath(full_path)), status_code, response.headers)


@cache
def _names(folders: Iterable[str]) -> frozenset[str]:
    return frozenset(one.name for folder in folders for one in Path(folder).iterdir())


@cache
def _content(path: str) -> bytes:
    return Path(path).read_bytes()


def add_docs(app: FastAPI) -> None:
    """Serve the page and its files; the application must be created with `docs_url=None`."""
    app.include_router(router)
    app.mount(ASSETS, Assets(packages=[("fastapi_swagger", "resources")]))


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Every endpoint, with a form to try it."""
    page, policy = _page()
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


@cache
def _page() -> tuple[str, str]:
    """The page and its Content-Security-Policy. URLs are relative, for proxies with a path prefix."""
    made = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Fraud scorer - Swagger UI",
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon-32x32.png",
    )
    page = bytes(made.body).decode()
    (script,) = _INLINE.findall(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page, POLICY.format(script=f"sha256-{digest}")

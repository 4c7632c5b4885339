"""GET /v1/model/card: the model card of the version in use."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response

from serving.api.deps import ServicesDep, documented_key
from serving.api.error_handlers import COMMON, Documented

HTML: Final = "text/html"
MARKDOWN: Final = "text/markdown"
MAX_ACCEPT: Final = 1_000
"""Characters of an Accept header that is read: each of its parts costs some microseconds, and more with parameters."""
POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page comes from the registry and is not trusted: only inline styles and images are allowed."""

_VERSION: Final[dict[str, Any]] = {"description": "The version that the card describes", "schema": {"type": "string"}}
_CARD: Final[Documented] = {
    200: {
        "description": "The card: HTML, or Markdown if `Accept` prefers text/markdown",
        "content": {kind: {"schema": {"type": "string"}} for kind in (HTML, MARKDOWN)},
        "headers": {"X-Model-Version": _VERSION},
    }
}

router = APIRouter(tags=["model"], dependencies=[documented_key])


@router.get("/v1/model/card", response_class=Response, responses=COMMON | _CARD)
async def card(services: ServicesDep, accept: Annotated[str, Header(include_in_schema=False)] = HTML) -> Response:
    """The model card of the version in use: its purpose, its quality and its limits."""
    champion = services.champions.current
    headers = {"X-Model-Version": champion.version, "Content-Security-Policy": POLICY, "Vary": "Accept"}
    if _weight(accept, MARKDOWN) > _weight(accept, HTML):
        return Response(champion.card.markdown, headers=headers, media_type=MARKDOWN)
    return Response(champion.card.html, headers=headers, media_type=HTML)


def _weight(accept: str, wanted: str) -> float:
    """The quality value of a media type in an Accept header, 0 if it is not named or the header is very long."""
    for one in accept.lower().split(",") if len(accept) <= MAX_ACCEPT else ():
        kind, *parameters = one.split(";")
        if kind.strip() == wanted:
            found = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in parameters)}
            return _number(found.get("q", "1"))
    return 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

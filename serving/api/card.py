"""GET /v1/model/card: what the model in use is good for, for people."""

from __future__ import annotations

from email.message import Message
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response

from serving.api.deps import ServicesDep, documented_key
from serving.api.error_handlers import COMMON, Documented

HTML: Final = "text/html"
MARKDOWN: Final = "text/markdown"
POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page came through the registry: it may look as it likes, and do nothing."""

_VERSION: Final[dict[str, Any]] = {"description": "The version that the card is of", "schema": {"type": "string"}}
_CARD: Final[Documented] = {
    200: {
        "description": "The card: a page, or Markdown where `Accept` prefers text/markdown",
        "content": {kind: {"schema": {"type": "string"}} for kind in (HTML, MARKDOWN)},
        "headers": {"X-Model-Version": _VERSION},
    }
}

router = APIRouter(tags=["model"], dependencies=[documented_key])


@router.get("/v1/model/card", response_class=Response, responses=COMMON | _CARD)
async def card(services: ServicesDep, accept: Annotated[str, Header(include_in_schema=False)] = HTML) -> Response:
    """The card of the version that scores now: what it is good for, how well it does, and its limits."""
    champion = services.champions.current
    headers = {"X-Model-Version": champion.version, "Content-Security-Policy": POLICY, "Vary": "Accept"}
    if _weight(accept, MARKDOWN) > _weight(accept, HTML):
        return Response(champion.card.markdown, headers=headers, media_type=MARKDOWN)
    return Response(champion.card.html, headers=headers, media_type=HTML)


def _weight(accept: str, wanted: str) -> float:
    """How much a media type is wanted, by its name: 0, where it is not named, to 1."""
    for one in accept.split(","):
        part = Message()
        part["Content-Type"] = one.strip()
        if part.get_content_type() == wanted:
            try:
                return float(str(part.get_param("q", "1")))
            except ValueError:
                return 0.0
    return 0.0

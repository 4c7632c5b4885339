"""GET /: a status page."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from serving.api.deps import ReadinessDep

router = APIRouter(include_in_schema=False)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@router.get("/")
async def page(readiness: ReadinessDep) -> HTMLResponse:
    """What this service is, and its readiness."""
    rows = "".join(
        f'<tr><td>{escape(name.replace("_", " "))}</td><td class="{"ok" if check.ok else "bad"}">'
        f"{'ok' if check.ok else 'not ok'}</td><td>{escape(check.detail)}</td></tr>"
        for name, check in readiness.checks.items()
    )
    template = Template(files("serving.api").joinpath("page.html").read_text("utf-8"))
    state, colour = ("ready", "ok") if readiness.ready else ("not ready", "bad")
    html = template.substitute(state=state, colour=colour, rows=rows)
    return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

"""/docs works without a network."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import httpx
import pytest

from serving.app import create_app
from serving.settings import Settings

ADDRESS = "http://scorer/"


@pytest.fixture(scope="module")
def app(secrets: Path) -> httpx.ASGITransport:
    return httpx.ASGITransport(create_app(Settings(secrets_dir=secrets)))


def get(app: httpx.ASGITransport, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=app, base_url=ADDRESS) as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_the_page_names_no_other_host_and_its_policy_allows_none(app: httpx.ASGITransport) -> None:
    page = get(app, "/docs")
    assert page.status_code == 200
    assert "//" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "script-src 'self' 'sha256-" in policy


@pytest.mark.parametrize(
    ("named", "kind", "least"),
    [(r'src="([^"]+\.js)"', "text/javascript", 1_000_000), (r'href="([^"]+\.css)"', "text/css", 100_000),
     (r'href="([^"]+\.png)"', "image/png", 500)],
)  # fmt: skip
def test_the_scorer_serves_every_file_that_the_page_loads(
    app: httpx.ASGITransport, named: str, kind: str, least: int
) -> None:
    (path,) = re.findall(named, get(app, "/docs").text)
    asset = get(app, path)
    assert asset.status_code == 200
    assert asset.headers["Content-Type"].startswith(kind)
    assert len(asset.content) > least
    assert asset.headers["Cache-Control"] == "public, max-age=86400"
    again = get(app, path, **{"If-None-Match": asset.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_describes_what_the_scorer_serves(app: httpx.ASGITransport) -> None:
    (path,) = re.findall(r"url: '([^']+)'", get(app, "/docs").text)
    assert "/v1/score" in get(app, path).json()["paths"]


def test_other_files_are_not_served(app: httpx.ASGITransport) -> None:
    for path in ("/docs/assets/nothing.js", "/docs/assets/../main.py", "/docs/assets/%2e%2e/main.py", "/docs/assets/"):
        assert get(app, path).status_code == 404, path


def test_a_path_of_many_parts_is_not_looked_up(app: httpx.ASGITransport, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(os.path, "realpath", lambda path, **_: asked.append(str(path)) or str(path))
    assert get(app, "/docs/assets" + "/a" * 3_000).status_code == 404
    assert get(app, "/docs/assets/" + "%2e%2e%2f" * 500).status_code == 404
    assert max(map(len, asked), default=0) < 1_000

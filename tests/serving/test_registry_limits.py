"""What the scorer reads from MLflow is limited, and its login is sent."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

import serving.model.registry_client
from contracts.bundle import MANIFEST, TREES, BundleError
from serving.errors import RegistryError
from serving.model.champion import FILES
from serving.model.registry_client import RegistryClient, Version
from serving.settings import Secrets, Settings, read_secrets

VERSION = Version("1", "models:/m-1")
MODEL = {"model": {"info": {"artifact_uri": "mlflow-artifacts:/0/models/m-1/artifacts"}}}
Answer = Callable[[httpx.Request], httpx.Response]


def asked(answer: Answer, folder: Path | None = None, most: int = 1_000, auth: tuple[str, str] | None = None) -> None:
    """Ask for the champion, or download a version into `folder`."""

    async def ask() -> None:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry", auth=auth) as client:
            registry = RegistryClient(client, "fraud", most)
            await (registry.champion() if folder is None else registry.download(VERSION, folder))

    asyncio.run(ask())


class Endless(httpx.AsyncByteStream):
    """A body that never ends; counts the bytes that were read."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 100
            yield b"x" * 100


def artifacts(content: Callable[[str], httpx.Response]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        if "logged-models" in request.url.path:
            return httpx.Response(200, stream=httpx.ByteStream(json.dumps(MODEL).encode()))
        return content(request.url.path.partition("/artifacts/0/models/m-1/artifacts/")[2])

    return answer


def test_a_file_is_not_read_beyond_the_limit(tmp_path: Path) -> None:
    body = Endless()
    with pytest.raises(BundleError, match=r"more than 1000 bytes.*SCORER_MAX_BUNDLE_BYTES"):
        asked(artifacts(lambda _: httpx.Response(200, stream=body)), tmp_path)
    assert body.sent <= 1_200


@pytest.mark.parametrize(("most", "fits"), [(50, True), (49, False)])
def test_the_limit_is_on_all_files_together(tmp_path: Path, most: int, fits: bool) -> None:
    assert len((MANIFEST, *FILES)) == 5
    answer = artifacts(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"x" * 10)))
    if fits:
        asked(answer, tmp_path, most)
    else:
        with pytest.raises(BundleError, match=r"as of bundle/card\.html"):
            asked(answer, tmp_path, most)
    assert (tmp_path / TREES).stat().st_size == 10


def test_what_is_compressed_is_not_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(b"x" * 10**6)
    encodings: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        encodings.add(request.headers["Accept-Encoding"])
        given = artifacts(
            lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(packed))
        )
        return given(request)

    asked(answer, tmp_path, 10 * len(packed))
    assert encodings == {"identity"}
    assert (tmp_path / TREES).read_bytes() == packed


def test_an_answer_about_the_champion_is_limited_too() -> None:
    body = Endless()
    with pytest.raises(RegistryError, match="has more than 1048576 bytes"):
        asked(lambda _: httpx.Response(200, stream=body))
    assert body.sent < 2**20 + 200


def test_a_body_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.01)
                yield b"x"

    monkeypatch.setattr(serving.model.registry_client, "_REQUEST_SECONDS", 0.1)
    with pytest.raises(RegistryError, match="is not responding"):
        asked(artifacts(lambda _: httpx.Response(200, stream=Dripping())), tmp_path, 10**9)


def test_the_default_is_64_mebibytes() -> None:
    assert Settings().scorer_max_bundle_bytes == 64 * 2**20


# -- the login


def test_the_login_is_sent_and_a_refused_one_is_named(secrets: Path) -> None:
    (secrets / "mlflow_login").write_text("scorer:pass:word\n")
    try:
        read = read_secrets(secrets)
    finally:
        (secrets / "mlflow_login").unlink()
    assert read.mlflow_auth == ("scorer", "pass:word")
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization", ""))
        return httpx.Response(401, stream=httpx.ByteStream(b""))

    with pytest.raises(RegistryError, match=r"rejects the scorer's login.*\(401\).*secret mlflow_login"):
        asked(answer, auth=read.mlflow_auth)
    assert seen == [httpx.BasicAuth("scorer", "pass:word")._auth_header]


def test_without_a_login_none_is_sent(secrets: Path) -> None:
    assert read_secrets(secrets).mlflow_auth is None
    assert "mlflow_login" in Secrets.model_fields

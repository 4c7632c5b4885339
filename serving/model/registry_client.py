"""A REST client of MLflow's model registry: which version is champion, and the files of its bundle."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from contracts.addresses import redact
from contracts.bundle import CHAMPION, MANIFEST, REBUILD, BundleError
from contracts.signature import SIGNATURE_TAG, WITHDRAWAL_TAG
from serving.errors import RegistryError
from serving.model.champion import FILES

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SOURCE: Final = re.compile(r"models:/(m-[0-9a-zA-Z]+)")
_ARTIFACTS: Final = re.compile(r"mlflow-artifacts:(?://[^/]*)?/(.+)")
_NONE_YET: Final = (400, 404)
_MAX_ANSWER_BYTES: Final = 2**20
_REQUEST_SECONDS: Final = 60.0
"""The longest time of one request: a server that sends a byte now and then would keep the scorer from polling."""
# A compressed response could unpack to any size.
_UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Version:
    """A registered version: its number, the URI of its logged model, its signature and its withdrawal, empty if none.

    The number names a folder of the cache. Raises ValueError if it is not a number.
    """

    number: str
    source: str
    signature: str = ""
    withdrawal: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not _NUMBER.fullmatch(self.number):
            raise ValueError(f"version {self.number[:100]!r} is not a number")
        if not isinstance(self.signature, str) or not isinstance(self.withdrawal, str):
            raise TypeError(f"a signature of version {self.number} is not a string")


@dataclass(frozen=True)
class Answer:
    """A response of MLflow, complete."""

    status: int
    path: str
    content: bytes

    @property
    def text(self) -> str:
        """The content as text, for messages."""
        return self.content.decode(errors="replace")


class _TooLargeError(Exception):
    """A response is larger than allowed; the rest of it was not read."""


class RegistryClient:
    """Asks MLflow. Every method raises `RegistryError` if it does not answer as expected.

    `max_bytes` is the largest size of a version's files together; there are always the same five.
    """

    def __init__(self, client: httpx.AsyncClient, model: str, max_bytes: int) -> None:
        self._client = client
        self._model = model
        self._max_bytes = max_bytes

    async def champion(self) -> Version | None:
        """The version with the alias `champion`, None if there is none yet."""
        query = {"name": self._model, "alias": CHAMPION}
        answer = await self._ask("/api/2.0/mlflow/registered-models/alias", query)
        if answer.status in _NONE_YET and _is_none_yet(answer):
            return None
        version = _json(answer, "model_version")
        signatures = (_tag(version.get("tags"), name) for name in (SIGNATURE_TAG, WITHDRAWAL_TAG))
        try:
            return Version(str(version.get("version")), str(version.get("source")), *signatures)
        except ValueError as error:
            raise RegistryError(
                f"MLflow's champion is not a version of its registry ({error}): see who changed it"
            ) from error

    async def download(self, version: Version, folder: Path) -> None:
        """Download the bundle into `folder`. Raises `BundleError` if a file is missing or all are too large."""
        artifacts = await self._artifacts(version)
        left = self._max_bytes
        for name in (MANIFEST, *FILES):
            content = await self._file(f"/api/2.0/mlflow-artifacts/artifacts/{artifacts}/{name}", name, left)
            left -= len(content)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    async def _file(self, path: str, name: str, most: int) -> bytes:
        try:
            answer = await self._get(path, most)
        except _TooLargeError:
            raise BundleError(
                f"its files have more than {self._max_bytes} bytes, as of {name}: train a smaller model, or set "
                "SCORER_MAX_BUNDLE_BYTES"
            ) from None
        if answer.status == httpx.codes.NOT_FOUND:
            raise BundleError(f"{name} is missing from the model version: {REBUILD}")
        _ok(answer)
        return answer.content

    async def _artifacts(self, version: Version) -> str:
        found = _SOURCE.fullmatch(version.source)
        if not found:
            raise BundleError(f"its source is {version.source!r}, not models:/m-...: register a logged model")
        answer = await self._ask(f"/api/2.0/mlflow/logged-models/{found[1]}")
        uri = str(_json(answer, "model").get("info", {}).get("artifact_uri"))
        path = _ARTIFACTS.fullmatch(uri)
        if not path:
            raise BundleError(
                f"its files are at {uri!r}, not mlflow-artifacts:/...: start MLflow with --artifacts-destination"
            )
        return path[1]

    async def _ask(self, path: str, query: dict[str, str] | None = None) -> Answer:
        """A response that is JSON."""
        try:
            return await self._get(path, _MAX_ANSWER_BYTES, query)
        except _TooLargeError:
            raise RegistryError(
                f"MLflow's response for {path} has more than {_MAX_ANSWER_BYTES} bytes: check MLFLOW_TRACKING_URI"
            ) from None

    async def _get(self, path: str, most: int, query: dict[str, str] | None = None) -> Answer:
        """A response with a body of at most `most` bytes. Raises `_TooLargeError` once more have come."""
        content = bytearray()
        try:
            async with (
                asyncio.timeout(_REQUEST_SECONDS),
                self._client.stream("GET", path, params=query, headers=_UNCOMPRESSED) as answer,
            ):
                async for piece in answer.aiter_raw():
                    content += piece
                    if len(content) > most:
                        raise _TooLargeError
        # httpcore raises AttributeError for a connection that breaks as it is opened.
        except (httpx.HTTPError, AttributeError, TimeoutError) as error:
            raise RegistryError(
                f"MLflow at {redact(str(self._client.base_url))} is not responding ({error!r}): check "
                "MLFLOW_TRACKING_URI, and that MLflow runs"
            ) from error
        return Answer(answer.status_code, path, bytes(content))


def _tag(tags: Any, name: str) -> str:
    """The value of one of a version's tags, `[{"key": ..., "value": ...}]`; empty if there is none."""
    tags = tags if isinstance(tags, list) else []
    found = [tag.get("value") for tag in tags if isinstance(tag, dict) and tag.get("key") == name]
    return str(found[0]) if found else ""


def _is_none_yet(answer: Answer) -> bool:
    """MLflow answers 404 for a missing model and 400 for a missing alias."""
    return "not found" in answer.text


def _ok(answer: Answer) -> None:
    if answer.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise RegistryError(
            f"MLflow rejects the scorer's login for {answer.path} ({answer.status}): check the secret mlflow_login"
        )
    if answer.status != httpx.codes.OK:
        raise RegistryError(
            f"MLflow answers {answer.status} for {answer.path} ({answer.text[:200]}): check "
            "MLFLOW_TRACKING_URI, and MLflow's log"
        )


def _json(answer: Answer, key: str) -> dict[str, Any]:
    _ok(answer)
    try:
        found = json.loads(answer.content)[key]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RegistryError(
            f"MLflow's response for {answer.path} has no {key!r} ({error!r}): check MLFLOW_TRACKING_URI"
        ) from error
    if not isinstance(found, dict):
        raise RegistryError(f"MLflow's response for {answer.path} has no object {key!r}: check MLFLOW_TRACKING_URI")
    return found

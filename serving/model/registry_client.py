"""A REST client of MLflow's model registry: which version is champion, and the files of its bundle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from contracts.bundle import CHAMPION, MANIFEST, REBUILD, BundleError
from serving.errors import RegistryError
from serving.model.champion import FILES

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SOURCE: Final = re.compile(r"models:/(m-[0-9a-zA-Z]+)")
_ARTIFACTS: Final = re.compile(r"mlflow-artifacts:(?://[^/]*)?/(.+)")
_NONE_YET: Final = (400, 404)


@dataclass(frozen=True)
class Version:
    """A registered version: its number, and the URI of its logged model.

    The number names a folder of the cache. Raises ValueError if it is no number.
    """

    number: str
    source: str

    def __post_init__(self) -> None:
        if not _NUMBER.fullmatch(self.number):
            raise ValueError(f"version {self.number[:100]!r} is no number")


class RegistryClient:
    """Asks MLflow. Every method raises `RegistryError` if it does not answer as expected."""

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._model = model

    async def champion(self) -> Version | None:
        """The version with the alias `champion`, None if there is none yet."""
        query = {"name": self._model, "alias": CHAMPION}
        answer = await self._get("/api/2.0/mlflow/registered-models/alias", query)
        if answer.status_code in _NONE_YET and _is_none_yet(answer):
            return None
        version = _json(answer, "model_version")
        try:
            return Version(str(version.get("version")), str(version.get("source")))
        except ValueError as error:
            raise RegistryError(
                f"MLflow's champion is not a version of its registry ({error}): see who changed it"
            ) from error

    async def download(self, version: Version, folder: Path) -> None:
        """Download the version's bundle into `folder`. Raises `BundleError` if a file is missing."""
        artifacts = await self._artifacts(version)
        for name in (MANIFEST, *FILES):
            answer = await self._get(f"/api/2.0/mlflow-artifacts/artifacts/{artifacts}/{name}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise BundleError(f"{name} is missing from the model version: {REBUILD}")
            _ok(answer)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(answer.content)

    async def _artifacts(self, version: Version) -> str:
        found = _SOURCE.fullmatch(version.source)
        if not found:
            raise BundleError(f"its source is {version.source!r}, not models:/m-...: register a logged model")
        answer = await self._get(f"/api/2.0/mlflow/logged-models/{found[1]}")
        uri = str(_json(answer, "model").get("info", {}).get("artifact_uri"))
        path = _ARTIFACTS.fullmatch(uri)
        if not path:
            raise BundleError(
                f"its files are at {uri!r}, not mlflow-artifacts:/...: start MLflow with --artifacts-destination"
            )
        return path[1]

    async def _get(self, path: str, query: dict[str, str] | None = None) -> httpx.Response:
        try:
            return await self._client.get(path, params=query)
        # httpcore raises AttributeError for a connection that breaks as it is opened.
        except (httpx.HTTPError, AttributeError) as error:
            raise RegistryError(
                f"MLflow at {self._client.base_url} does not answer ({error!r}): check MLFLOW_TRACKING_URI, and that "
                "MLflow runs"
            ) from error


def _is_none_yet(answer: httpx.Response) -> bool:
    """MLflow answers 404 for a missing model and 400 for a missing alias."""
    return "not found" in answer.text


def _ok(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        raise RegistryError(
            f"MLflow answers {answer.status_code} for {answer.url.path} ({answer.text[:200]}): check "
            "MLFLOW_TRACKING_URI, and MLflow's log"
        )


def _json(answer: httpx.Response, key: str) -> dict[str, Any]:
    _ok(answer)
    try:
        found = answer.json()[key]
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"MLflow's response for {answer.url.path} has no {key!r} ({error!r}): check MLFLOW_TRACKING_URI"
        ) from error
    if not isinstance(found, dict):
        raise RegistryError(f"MLflow's response for {answer.url.path} has no object {key!r}: check MLFLOW_TRACKING_URI")
    return found

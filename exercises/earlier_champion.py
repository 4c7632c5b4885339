"""For capstones: make an older model the champion, so that the demo's own model is the challenger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from mlflow import MlflowClient

from exercises.expect import UnavailableError
from modeling.settings import read_settings
from modeling.tracking.bundle_signature import read_signing_key, sign_version, stored_manifest
from modeling.tracking.mlflow_client import registry

CHAMPION: Final = "champion"
MODEL: Final = os.environ.get("MODEL_NAME") or "fraud"
TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True)
class Scene:
    """A client of MLflow, the version that is champion, the demo's own version with its run, and the lake's days."""

    client: MlflowClient
    champion: str
    demo: str
    demo_run_id: str
    days: list[str]

    def restore(self) -> None:
        """Make the earlier model champion, and wait until the scorer uses it. Raises `UnavailableError`."""
        self.client.set_registered_model_alias(MODEL, CHAMPION, self.champion)
        end = time.monotonic() + TIMEOUT_SECONDS
        while version_in_use() != self.champion:
            if time.monotonic() > end:
                raise UnavailableError(
                    f"the scorer did not switch to version {self.champion} within {TIMEOUT_SECONDS} s: check again"
                )
            time.sleep(0.1)

    def versions(self) -> int:
        """The number of registered versions."""
        return len(self.client.search_model_versions(f"name='{MODEL}'"))


def version_in_use() -> str:
    """The model version that the scorer uses now."""
    url, key = os.environ["SCORER_URL"], os.environ["SCORER_API_KEY"]
    answer = httpx.get(f"{url}/v1/model", headers={"X-API-Key": key}, timeout=10, trust_env=False)
    return str(answer.raise_for_status().json()["version"])


def make_earlier_champion(folder: Path) -> Scene:
    """Train a model on the first half of the lake's days and register it. Raises `UnavailableError`."""
    address = os.environ["MLFLOW_TRACKING_URI"]
    client = MlflowClient(address, address)
    current = client.get_model_version_by_alias(MODEL, CHAMPION)
    lake = Path(os.environ["LAKE_URI"])
    days = sorted(path.name.removeprefix("day=") for path in (lake / "features").iterdir())
    first, last = days[0], days[len(days) // 2 - 1]
    part = _lake_until(lake, last, folder)
    run_id = _command("modeling.train", "--from", first, "--to", last, lake=part)["run_id"]
    version = _command("modeling.evaluate", "--run-id", run_id, lake=part)["model_version"]
    _sign(version)
    return Scene(client, version, current.version, current.tags["run_id"], days)


def _sign(version: str) -> None:
    """Sign a version as the gate does: the scorer accepts no other champion."""
    settings = read_settings()
    with registry(settings) as client:
        found = client.get_model_version(settings.model_name, version)
        sign_version(client, read_signing_key(settings), found, stored_manifest(found), settings)


def _lake_until(lake: Path, last: str, folder: Path) -> Path:
    """A lake of links that ends with the given day."""
    for table in ("clean", "features", "reports"):
        (folder / table).mkdir()
        for day in (lake / table).iterdir():
            if day.name.removeprefix("day=") <= last:
                (folder / table / day.name).symlink_to(day)
    return folder


def _command(module: str, *options: str, lake: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", module, *options]
    environment = os.environ | {"LAKE_URI": str(lake)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"{module} failed ({done.stderr[-500:].strip()}): run `make demo` for new data")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found

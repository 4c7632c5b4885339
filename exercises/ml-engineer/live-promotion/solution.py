"""Promote a challenger through the gate under live payments, then roll back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from mlflow import MlflowClient

CHAMPION = "champion"
"""The MLflow alias of the version that the scorer must use."""


@dataclass(frozen=True)
class Pipeline:
    """The addresses of the running pipeline, and the MLflow run of the challenger."""

    mlflow_url: str
    scorer_url: str
    key: str
    model_name: str
    run_id: str


def version_in_use(pipeline: Pipeline) -> str:
    """The model version that the scorer uses now."""
    answer = httpx.get(f"{pipeline.scorer_url}/v1/model", headers={"X-API-Key": pipeline.key})
    version: str = answer.raise_for_status().json()["version"]
    return version


def go_through_the_gate(pipeline: Pipeline) -> dict[str, object]:
    """Run the data scientist's gate on the challenger: {model_version, promoted, reason}. The gate moves the alias."""
    command = [sys.executable, "-m", "modeling.promote", "--run-id", pipeline.run_id]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def shift(pipeline: Pipeline, look: Callable[[str], None]) -> None:
    """Promote, call `look("promoted")`, roll back to the previous version, call `look("rolled back")`.

    At each call of `look`, the scorer uses the version in question. Raises TimeoutError after a minute.
    """
    # --- your work: begin
    client = MlflowClient(pipeline.mlflow_url)
    before = client.get_model_version_by_alias(pipeline.model_name, CHAMPION).version

    def wait_for(version: object) -> None:
        end = time.monotonic() + 60
        while version_in_use(pipeline) != str(version):
            if time.monotonic() > end:
                raise TimeoutError(f"the scorer did not switch to version {version}")
            time.sleep(0.1)

    wait_for(go_through_the_gate(pipeline)["model_version"])
    look("promoted")
    client.set_registered_model_alias(pipeline.model_name, CHAMPION, before)
    wait_for(before)
    look("rolled back")
    # --- your work: end

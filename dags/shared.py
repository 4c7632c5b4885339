"""Shared by both DAGs: the Asset that connects them, default task arguments and the check of the days."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

PROJECT: Final = Path(__file__).resolve().parents[1]
FEATURES: Final = Asset(name="fraud_features", uri="fraud://lake/features")


def pipeline_python() -> str:
    """The interpreter of the pipeline environment, from the variable `PIPELINE_PYTHON`."""
    return os.environ.get("PIPELINE_PYTHON", "python")


def defaults(owner: str) -> dict[str, Any]:
    """Default arguments for the tasks of one owner; jobs are idempotent, so retries are safe."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(hours=1),
    }


def check_days(context: Any) -> None:
    """Raise `AirflowFailException`, which is not retried, if `to` comes before `from`."""
    first, last = (date.fromisoformat(context["params"][name]) for name in ("from", "to"))
    if last < first:
        raise AirflowFailException(f"'to' {last} comes before 'from' {first}: swap them")

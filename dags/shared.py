"""What both DAGs share: the Asset that joins them, the days that travel with it, and how a role's tasks behave."""

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
    """The interpreter of the pipeline environment, as this installation states it."""
    return os.environ.get("PIPELINE_PYTHON", "python")


def defaults(owner: str) -> dict[str, Any]:
    """How the tasks of a role behave: jobs are idempotent, so running one again is always safe."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(hours=1),
    }


def check_days(context: Any) -> None:
    """Fail at once, without a retry, where the days run backwards."""
    first, last = (date.fromisoformat(context["params"][name]) for name in ("from", "to"))
    if last < first:
        raise AirflowFailException(f"'to' {last} comes before 'from' {first}: swap them")

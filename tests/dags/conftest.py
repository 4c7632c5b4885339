"""The DAGs as parsed by Airflow, with a separate AIRFLOW_HOME."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"


def pytest_configure() -> None:
    """Runs before Airflow is imported, because it reads its settings at import."""
    import tempfile

    home = tempfile.mkdtemp(prefix="airflow-")
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PIPELINE_PYTHON": "/opt/pipeline/bin/python",
    }
    sys.path.insert(0, str(DAGS))


@pytest.fixture(scope="session")
def dags() -> dict[str, Any]:
    from fraud_daily import dag as daily
    from fraud_training import dag as training

    return {dag.dag_id: dag for dag in (daily, training)}

"""An operator that runs the Spark job ingest, and returns the run that it asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException


class IngestOperator(SparkSubmitOperator):
    """Runs ingest like any Spark job; the result is a list with the conf of the run for `days_to_rerun`, or empty."""

    def execute(self, context: Any) -> list[dict[str, Any]]:  # type: ignore[override]  # the parent returns nothing
        """Run the job. Raises `AirflowException` if it fails, or if its output does not end with its result."""
        super().execute(context)
        assert self._hook is not None
        # The hook keeps the last lines of the job's output.
        return runs_again(self._hook._last_submit_log_lines)


def runs_again(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The conf of the run for all days that ingest names in the last line of JSON of its output; empty without any.

    Raises `AirflowException` if there is no such line.
    """
    results = [line for line in lines if line.startswith("{")]
    try:
        days = json.loads(results[-1])["days_to_rerun"]
    except (IndexError, ValueError, KeyError) as error:
        raise AirflowException(f"the output of ingest does not end with its result: {error!r}") from error
    return [{"from": days[0], "to": days[-1], "train": False}] if days else []

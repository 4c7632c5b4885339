"""The Spark session of every job, and its main. Master, memory and JVM options come from spark-submit and `conf/`."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyspark.sql import SparkSession

from contracts.days import DayRange
from spark_jobs.runner import Result, run_command
from spark_jobs.settings import Settings

OPTIONS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # A batch of some 5 MB: fewer hand-overs to Python than with the default 10,000 rows.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    "spark.sql.shuffle.partitions": "8",
    # Listing a few hundred local files is faster than a Spark job that lists them.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def start_session(job: str) -> SparkSession:
    """A session named after the job, on the master that spark-submit was given."""
    builder = SparkSession.builder.appName(f"fraud-relay {job}")
    for name, value in OPTIONS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    # A failed task's trace is told once, by the job's own last line.
    spark.sparkContext.setLogLevel("FATAL")
    return spark


def run_spark_job(job: str, body: Callable[[SparkSession, Settings, DayRange], Result]) -> int:
    """Run `body` in a Spark session as `run_command` does; the last line has the job's name and its seconds.

    The session is the job's own and ends with it, unless the job runs in one that was there (`shared_session`).
    """

    def in_session(settings: Settings, days: DayRange) -> Result:
        started = time.perf_counter()
        shared = SparkSession.getActiveSession() is not None
        spark = start_session(job)
        try:
            result = body(spark, settings, days)
        finally:
            if not shared:
                spark.stop()
        return {"job": job, **result, "seconds": round(time.perf_counter() - started, 2)}

    return run_command(job, in_session)

"""The Spark session and main function of every job. Master, memory and JVM options come from spark-submit."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyspark.sql import SparkSession

from contracts.days import DayRange
from spark_jobs.runner import Result, run_command
from spark_jobs.settings import Settings

OPTIONS = {
    "spark.sql.session.timeZone": "UTC",
    # Paths are local, whatever Hadoop's configuration of the machine says.
    "spark.hadoop.fs.defaultFS": "file:///",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Batches of about 5 MB: fewer transfers to Python than with the default of 10,000 rows.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    "spark.sql.shuffle.partitions": "8",
    # Listing a few hundred local files is faster than a Spark job that lists them.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def start_session(job: str) -> SparkSession:
    """A session named after the job, on the master given to spark-submit."""
    builder = SparkSession.builder.appName(f"fraud-relay {job}")
    for name, value in OPTIONS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    # The error of a failed task is reported once, on the job's last line.
    spark.sparkContext.setLogLevel("FATAL")
    return spark


def run_spark_job(job: str, body: Callable[[SparkSession, Settings, DayRange], Result]) -> int:
    """Run `body` in a Spark session, like `run_command`; adds the job's name and seconds to the result line.

    The session ends with the job, unless the job runs in an existing session (`shared_session`).
    """

    def in_session(settings: Settings, days: DayRange) -> Result:
        started = time.perf_counter()
        shared = SparkSession.getActiveSession() is not None
        spark = start_session(job)
        try:
            result = body(spark, settings, days)
        finally:
            if shared:
                # The next job must not see what this one has cached.
                spark.catalog.clearCache()
            else:
                spark.stop()
        return {"job": job, **result, "seconds": round(time.perf_counter() - started, 2)}

    return run_command(job, in_session)

"""What several checks need: a real Spark session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from demo.java import java_home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPTIONS = "--master local[1] --driver-java-options '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' pyspark-shell"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with the jobs' own options, on one core."""
    from spark_jobs.session import start_session

    home = java_home(tmp_path_factory.mktemp("java"))
    os.environ |= {"JAVA_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "TZ": "UTC"}
    os.environ["PYSPARK_SUBMIT_ARGS"] = OPTIONS
    session = start_session("exercises")
    yield session
    session.stop()

"""What several checks share: a Spark session, and the earlier champion of capstones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from demo.java import java_home
from demo.spark_archive import CONF, jvm_options, spark_home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from exercises.earlier_champion import Scene


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with the jobs' own options, on one core."""
    from spark_jobs.session import start_session

    home = java_home(tmp_path_factory.mktemp("java"))
    CONF.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "JAVA_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": "--master local[1] pyspark-shell",
        "SPARK_CONF_DIR": str(CONF),
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": jvm_options(tmp_path_factory.mktemp("spark"), home),
        "TZ": "UTC",
    }
    session = start_session("exercises")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The bank runs a model of its earlier days; the demo's own model is the challenger."""
    from exercises.earlier_champion import make_earlier_champion

    return make_earlier_champion(tmp_path_factory.mktemp("lake"))

"""Spark where it lies, and on a machine that is set up for another Hadoop."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from demo.environment import own_environment
from demo.spark_archive import jvm_options, spark_home

JOB = """
import sys
from spark_jobs.session import start_session
spark = start_session("place")
spark.range(5).write.parquet(sys.argv[1])
print("rows", spark.read.parquet(sys.argv[1]).count(), spark.conf.get("spark.sql.session.timeZone"))
"""
HDFS = """<configuration><property>
<name>fs.defaultFS</name><value>hdfs://no.such.host.invalid:8020</value>
</property></configuration>
"""


def test_a_folder_with_a_space_and_a_machine_whose_files_are_in_hdfs(
    tmp_path: Path, spark_environment: dict[str, str]
) -> None:
    folder = tmp_path / "a b (é)+@=~"
    (folder / "hadoop").mkdir(parents=True)
    (folder / "hadoop/core-site.xml").write_text(HDFS)
    (folder / "job.py").write_text(JOB)
    (folder / "spark").symlink_to(spark_home())
    own = {
        "SPARK_HOME": str(folder / "spark"),
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_SUBMIT_OPTS": jvm_options(folder, Path(spark_environment["JAVA_HOME"])),
        "HADOOP_CONF_DIR": str(folder / "hadoop"),
    }
    environment = own_environment(spark_environment | own, os.environ)
    command = [
        str(folder / "spark/bin/spark-submit"),
        "--master",
        "local[1]",
        str(folder / "job.py"),
        str(folder / "lake"),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "rows 5 UTC" in done.stdout, done.stderr
    assert list((folder / "lake").glob("part-*.parquet"))

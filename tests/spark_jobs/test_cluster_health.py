"""The health checks of a standalone cluster, on a real one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest

from demo.embedded_servers import free_port
from spark_jobs.cluster_health import why_not

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("cluster", "worker", "problem"),
    [
        ({"status": "ALIVE", "workers": []}, None, ""),
        ({"status": "RECOVERING"}, None, "RECOVERING"),
        ({"status": "ALIVE", "workers": [{"host": "10.0.0.7", "state": "ALIVE"}]}, "10.0.0.7", ""),
        (
            {"status": "ALIVE", "workers": [{"host": "10.0.0.7", "state": "DEAD"}]},
            "10.0.0.7",
            "worker 10.0.0.7 is not alive",
        ),
        (
            {"status": "ALIVE", "workers": [{"host": "10.0.0.8", "state": "ALIVE"}]},
            "10.0.0.7",
            "worker 10.0.0.7 is not alive",
        ),
    ],
)
def test_health_follows_the_master_s_state(cluster: dict, worker: str | None, problem: str) -> None:
    found = why_not(cluster, worker)
    assert problem in found if problem else found == ""


@contextmanager
def daemon(java_home: Path, folder: Path, *command: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    home = Path(pyspark.__file__).parent
    environment = {
        "PATH": os.environ["PATH"],
        "JAVA_HOME": str(java_home),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder),
        "SPARK_DAEMON_MEMORY": "192m",
        **settings,
    }
    with (folder / "daemon.log").open("ab") as out:
        process = subprocess.Popen([str(home / "bin/spark-class"), *command], env=environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def health(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spark_jobs.cluster_health", url, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def until(url: str, code: int, *options: str) -> str:
    end = time.monotonic() + 60
    while (done := health(url, *options)).returncode != code and time.monotonic() < end:
        time.sleep(0.5)
    assert done.returncode == code, done.stdout
    return done.stdout


def test_a_real_cluster(java_home: Path, tmp_path: Path) -> None:
    port, ui, own_ui = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{ui}"
    assert "is not responding" in until(url, 1)
    here = socket.gethostbyname(socket.gethostname())
    package = "org.apache.spark.deploy"
    at = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(ui)]
    with daemon(java_home, tmp_path, f"{package}.master.Master", *at):
        until(url, 0)
        assert "is not alive at the master" in until(url, 1, "--worker")
        worker = [f"{package}.worker.Worker", "--host", here, "--webui-port", str(own_ui), f"spark://127.0.0.1:{port}"]
        with daemon(java_home, tmp_path, *worker, SPARK_WORKER_MEMORY="512m"):
            until(url, 0, "--worker")
        assert "DEAD" in until(url, 1, "--worker")

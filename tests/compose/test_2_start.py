"""After `up --wait`: everything is healthy, nothing is exposed needlessly, and the pipeline has run."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from containers.credentials import HOLDERS, USER
from tests.compose.stack import JOBS, Stack, run

OWN = 10**15
"""Ids from here on are the tests' own."""
OWN_DATA = {"/data/payments", "/data/map.toml", "/data/maps"}
MOUNTED = {"airflow-scheduler": {"/data/map.toml"}, "bootstrap": OWN_DATA, "replay": OWN_DATA}
"""What services mount of the host, read-only: a stranger's payments, their map and its folder."""


def payment(number: int, **changes: Any) -> dict[str, Any]:
    """A payment of a customer and a terminal that no other test uses."""
    at = {"customer_id": OWN, "terminal_id": OWN, "amount": 731.2, "occurred_at": "2025-12-31T10:15:00Z"}
    return {"transaction_id": OWN + number, **at, **changes}


def test_every_service_is_healthy_and_every_job_succeeded(stack: Stack) -> None:
    assert stack.unwell() == {}
    states = stack.states()
    assert len(states) == len(stack.config["services"])
    assert list(states.values()).count("exited 0") == len(JOBS)


def test_ports_are_open_only_on_the_loopback_interface(stack: Stack) -> None:
    published = {
        (name, bound["HostIp"], int(bound["HostPort"]))
        for name, some in stack.containers().items()
        for container in some
        for where in container["NetworkSettings"]["Ports"].values()
        for bound in where or []
    }
    expected = {"scorer": "SCORER", "airflow-api-server": "AIRFLOW", "mlflow": "MLFLOW", "spark-master": "SPARK"}
    assert published == {(name, "127.0.0.1", stack.ports[port]) for name, port in expected.items()}


def test_total_memory_is_below_five_gigabytes(stack: Stack) -> None:
    assert 1_000 < stack.measured["peak_memory_mb"] < 5_000


def test_no_process_is_root(stack: Stack) -> None:
    for name, some in stack.containers().items():
        for container in some:
            if container["State"]["Running"]:
                uids = run("docker", "top", container["Id"], "-eo", "uid,pid,comm").splitlines()[1:]
                assert uids
                assert [line for line in uids if line.split()[0] == "0"] == [], name


def test_every_container_is_confined(stack: Stack) -> None:
    for name, some in stack.containers().items():
        for container in some:
            host = container["HostConfig"]
            assert host["CapDrop"] == ["ALL"], name
            assert not host["CapAdd"], name
            assert "no-new-privileges:true" in host["SecurityOpt"], name
            assert host["ReadonlyRootfs"], name
            assert not host["Privileged"], name
            assert 0 < host["Memory"] <= 2560 * 2**20, name
            assert 0 < host["PidsLimit"] <= 512, name
            assert host["NetworkMode"] != "host", name
            binds = {mount["Destination"]: mount["RW"] for mount in container["Mounts"] if mount["Type"] == "bind"}
            assert set(binds) <= MOUNTED.get(name, set()), name
            assert not any(binds.values()), name


def test_the_scorer_cannot_reach_airflow_and_spark(stack: Stack) -> None:
    """Neither by name nor by address. The stores must be reachable, or the test would prove nothing."""
    addresses = {
        name: network["IPAddress"]
        for name, some in stack.containers().items()
        for network in some[0]["NetworkSettings"]["Networks"].values()
    }

    def reaches(host: str, port: int) -> bool:
        code = f"import socket; socket.create_connection(('{host}', {port}), 2)"
        done = stack.sh("scorer", f'python -c "{code}" 2>/dev/null && echo yes || echo no')
        return done.strip() == "yes"

    assert reaches("valkey", 6379)
    assert reaches("mlflow", 5000)
    for name, port in (("airflow-api-server", 8080), ("spark-master", 7077)):
        assert not reaches(name, port)
        assert not reaches(addresses[name], port)


def test_mlflow_asks_for_a_login_and_the_scorer_s_may_only_read(stack: Stack) -> None:
    address = stack.credentials["MLFLOW_URL"] + "/api/2.0/mlflow/registered-models/get?name=fraud"
    assert httpx.get(address, timeout=30, trust_env=False).status_code == 401
    assert httpx.get(address, auth=("admin", "a wrong password"), timeout=30, trust_env=False).status_code == 401
    login = "tuple(Path('/run/credentials/scorer/mlflow_login').read_text().strip().split(':', 1))"
    url = "http://mlflow:5000/api/2.0/mlflow/registered-models"
    code = (
        f"import httpx; from pathlib import Path; auth = {login}; "
        f"print(httpx.get('{url}/get?name=fraud', auth=auth).status_code, "
        f"httpx.post('{url}/create', json={{'name': 'another'}}, auth=auth).status_code)"
    )
    assert stack.sh("scorer", f'python -c "{code}"').split() == ["200", "403"]


def test_a_service_holds_its_own_secrets_and_no_others(stack: Stack) -> None:
    held = {
        name: set(stack.sh(name, "find /run/credentials -type f").split())
        for name in ("scorer", "replay", "mlflow", "spark-master", "spark-worker", "postgres", "valkey")
    }
    holders = {"replay": "bank", "spark-master": "spark", "spark-worker": "pipeline"}
    for name, files in held.items():
        holder = holders.get(name, name)
        assert files == {f"/run/credentials/{holder}/{file}" for file in HOLDERS[holder]}, name


def test_no_secret_is_exposed(stack: Stack) -> None:
    """Neither by `docker inspect`, nor in a process's arguments, nor in a log."""
    all_of_them = "cat /run/credentials/all/* /run/credentials/airflow/airflow_fernet_key"
    found = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "credentials", "sh", "-c", all_of_them).split()
    secrets = [secret for secret in found if re.fullmatch(r"[\w=-]{40,}", secret)]
    assert len(secrets) >= len(HOLDERS)
    assert stack.credentials["SCORER_API_KEY"] in secrets
    told = [json.dumps(stack.containers()), *(text for _, _, text in stack.logs())]
    for some in stack.containers().values():
        if some[0]["State"]["Running"]:
            told.append(run("docker", "top", some[0]["Id"], "-eo", "pid,args"))
    for secret in secrets:
        assert not [text[:80] for text in told if secret in text]


def test_credentials_are_those_of_the_running_containers(stack: Stack) -> None:
    found = stack.credentials
    assert set(found) == {
        "SCORER_URL", "SCORER_API_KEY", "MLFLOW_URL", "AIRFLOW_URL", "AIRFLOW_USER", "AIRFLOW_PASSWORD",
        "MLFLOW_USER", "MLFLOW_PASSWORD",
    }  # fmt: skip
    assert found["SCORER_URL"] == f"http://127.0.0.1:{stack.ports['SCORER']}"
    assert found["AIRFLOW_USER"] == USER
    assert dict(line.split("=", 1) for line in stack.make("credentials").splitlines()) == found


@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_a_key_nothing_is_scored(stack: Stack, key: str) -> None:
    answer = stack.scorer("POST", "/v1/score", key=key, json=payment(1))
    assert answer.status_code == 401
    assert "X-API-Key" in answer.json()["detail"]


def test_with_the_key_a_payment_is_scored_by_the_registry_s_champion(stack: Stack) -> None:
    answer = stack.scorer("POST", "/v1/score", json=payment(2)).raise_for_status().json()
    assert answer["transaction_id"] == OWN + 2
    assert 0 <= answer["score"] <= 1
    assert answer["model_version"] == stack.champion()["version"]
    assert stack.scorer("GET", "/v1/model").json()["version"] == stack.champion()["version"]
    assert stack.scorer("GET", f"/v1/decisions/{OWN + 2}").json()["score"] == answer["score"]


def test_airflow_requires_a_login(stack: Stack) -> None:
    url = stack.credentials["AIRFLOW_URL"]
    assert httpx.get(f"{url}/api/v2/dags", timeout=30, trust_env=False).status_code == 401
    wrong = {"username": USER, "password": "wrong"}
    assert httpx.post(f"{url}/auth/token", json=wrong, timeout=30, trust_env=False).status_code == 401


def test_the_jobs_ran_on_the_cluster(stack: Stack) -> None:
    cluster = httpx.get(f"http://127.0.0.1:{stack.ports['SPARK']}/json/", timeout=30, trust_env=False).json()
    assert {worker["state"] for worker in cluster["workers"]} == {"ALIVE"}
    # The four jobs share an application, or a few on a machine so slow that one waits too long for the next job.
    assert {(app["name"], app["state"]) for app in cluster["completedapps"]} == {("fraud-relay jobs", "FINISHED")}


def test_the_cluster_accepts_no_job_without_its_secret(stack: Stack) -> None:
    job = "from pyspark.sql import SparkSession; SparkSession.builder.getOrCreate().range(9).count()"
    stack.sh("spark-worker", f"echo '{job}' > /tmp/job.py")

    def runs(seconds: int, options: str) -> bool:
        submit = f"timeout {seconds} spark-submit --master spark://spark-master:7077 {options} /tmp/job.py"
        told = stack.sh("spark-worker", f"{submit} 2>&1; echo exit code $?")
        print(told)
        return "exit code 0" in told

    assert runs(120, "--properties-file /run/credentials/pipeline/spark.conf")
    with stack.disturbance(settled_seconds=2):
        assert not runs(30, "--conf spark.cores.max=1")


@pytest.mark.parametrize("service", ["spark-master", "spark-worker"])
def test_a_jvm_starts_from_the_image_s_class_archive(stack: Stack, service: str) -> None:
    """A JVM silently ignores an archive that does not match its classes; one that it uses is mapped into its memory."""
    assert "/opt/spark.jsa" in stack.sh(service, "cat /proc/[0-9]*/maps 2>/dev/null", check=False)

"""MLflow's logins in the containers, against a real server: who may read, who may write, who may nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from containers.health_check import why_not
from containers.mlflow_login import READERS
from containers.mlflow_users import USERS
from demo.embedded_servers import ROOT, Server, free_port, launch_process, wait_ready
from demo.http_servers import MLFLOW_ENV, answers
from demo.installation import python_of

PASSWORDS = {user: f"the password of {user}" for user in USERS}
API = "/api/2.0/mlflow"
EXPERIMENT = f"{API}/experiments/get?experiment_id=0"
ALIAS = f"{API}/registered-models/alias"
WRITES = [
    ("POST", f"{API}/experiments/create", {"name": "another"}),
    ("POST", f"{API}/registered-models/create", {"name": "another"}),
    ("POST", f"{API}/registered-models/alias", {"name": "fraud", "alias": "champion", "version": "1"}),
    (
        "POST",
        f"{API}/model-versions/set-tag",
        {"name": "fraud", "version": "1", "key": "bundle_signature", "value": "x"},
    ),
    ("DELETE", f"{API}/registered-models/delete", {"name": "fraud"}),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/models/m-1/artifacts/bundle/bundle.json", None),
    ("POST", f"{API}/users/create", {"username": "intruder", "password": "a long password"}),
    ("PATCH", f"{API}/users/update-password", {"username": "admin", "password": "a long password"}),
]


def write_users(folder: Path, passwords: dict[str, str]) -> None:
    (folder / "users.json").write_text(json.dumps(passwords))
    command = [str(python_of("pipeline")), "-m", "containers.mlflow_users"]
    command += ["--database", f"sqlite:///{folder}/mlflow.db", "--passwords", str(folder / "users.json")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """MLflow with this project's configuration, on SQLite, with the users of the first start."""
    mine = (ROOT / "containers/mlflow_auth.ini").read_text()
    lines = [
        line if "database_uri" not in line else f"database_uri = sqlite:///{folder}/mlflow.db"
        for line in mine.splitlines()
    ]
    # Changed passwords take effect at once, for this test.
    (folder / "auth.ini").write_text("\n".join(line for line in lines if "ttl" not in line))
    write_users(folder, PASSWORDS | {"scorer": "an earlier password"})
    write_users(folder, PASSWORDS)
    port = free_port()
    command = [str(python_of("pipeline")), "-m", "mlflow", "server", "--app-name", "basic-auth", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--allowed-hosts", "127.0.0.1:*"]
    own = {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test"}
    environment = os.environ | MLFLOW_ENV | own | {"PYTHONPATH": str(ROOT)}
    running: Server = launch_process("MLflow", command, folder / "log", environment, port)
    url = f"http://127.0.0.1:{port}"
    wait_ready(running, lambda: answers(f"{url}/health"), seconds=120)
    yield url
    running.stop()


def test_before_the_first_promotion_a_reader_is_told_that_there_is_no_champion(server: str) -> None:
    answer = httpx.get(f"{server}{ALIAS}?name=fraud&alias=champion", auth=("scorer", PASSWORDS["scorer"]), timeout=60)
    assert (answer.status_code, "not found" in answer.text) == (400, True)


@pytest.fixture(scope="module")
def model(server: str) -> str:
    """A registered model with a version that is champion, made with the login for training; returns its file's path."""
    with httpx.Client(base_url=server, auth=("training", PASSWORDS["training"]), timeout=60) as client:
        run = client.post(f"{API}/runs/create", json={"experiment_id": "0"}).raise_for_status().json()["run"]["info"]
        path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run['run_id']}/artifacts/bundle/manifest.json"
        client.put(path, content=b"{}").raise_for_status()
        version = {"name": "fraud", "source": run["artifact_uri"], "run_id": run["run_id"]}
        client.post(f"{API}/model-versions/create", json=version).raise_for_status()
        tag = {"name": "fraud", "version": "1", "key": "bundle_signature", "value": "of a test"}
        client.post(f"{API}/model-versions/set-tag", json=tag).raise_for_status()
        client.post(ALIAS, json={"name": "fraud", "alias": "champion", "version": "1"}).raise_for_status()
    return path


def status(server: str, method: str, path: str, body: object, login: tuple[str, str] | None) -> int:
    return httpx.request(method, f"{server}{path}", json=body, auth=login, timeout=60).status_code


@pytest.mark.parametrize(
    "login", [None, ("scorer", ""), ("scorer", "an earlier password"), ("stranger", "password1234")]
)
def test_without_a_valid_login_nothing_is_read_or_written(
    server: str, model: str, login: tuple[str, str] | None
) -> None:
    asked = [("GET", EXPERIMENT, None), ("GET", f"{ALIAS}?name=fraud&alias=champion", None), ("GET", model, None)]
    assert {status(server, *one, login) for one in [*asked, *WRITES, ("GET", "/", None)]} == {401}


@pytest.mark.parametrize("user", READERS)
def test_a_reader_reads_the_champion_and_its_files_and_changes_nothing(server: str, model: str, user: str) -> None:
    login = (user, PASSWORDS[user])
    answer = httpx.get(f"{server}{ALIAS}?name=fraud&alias=champion", auth=login, timeout=60).raise_for_status()
    version = answer.json()["model_version"]
    assert (version["version"], version["tags"]) == ("1", [{"key": "bundle_signature", "value": "of a test"}])
    assert httpx.get(f"{server}{model}", auth=login, timeout=60).content == b"{}"
    assert {status(server, *one, login) for one in WRITES} == {403}


def test_training_is_no_administrator(server: str, model: str) -> None:
    login = ("training", PASSWORDS["training"])
    assert {status(server, *one, login) for one in WRITES[-2:]} == {403}
    assert status(server, "GET", f"{API}/users/get?username=training", None, ("admin", PASSWORDS["admin"])) == 200


def test_the_health_check_logs_in(server: str, folder: Path) -> None:
    (folder / "login").write_text(f"health:{PASSWORDS['health']}\n")
    wanted = ["experiment.experiment_id=0"]
    assert why_not(f"{server}{EXPERIMENT}", wanted, folder / "login") == ""
    assert "401" in why_not(f"{server}{EXPERIMENT}", wanted)
    assert "No such file" in why_not(f"{server}{EXPERIMENT}", wanted, folder / "none")

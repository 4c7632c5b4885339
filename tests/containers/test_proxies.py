"""The containers speak to one another directly, also where Docker gives them its client's proxy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from containers.bootstrap import Settings, champion
from containers.health_check import why_not
from demo.embedded_servers import ROOT, free_port
from tests.containers.conftest import Rehearsed

HOSTILE = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
CHAMPION = b'{"model_version": {"version": "3"}}'


@pytest.fixture
def asked(server: Rehearsed, monkeypatch: pytest.MonkeyPatch) -> Rehearsed:
    for name, value in (HOSTILE | {"NO_PROXY": "fd00::/8", "no_proxy": "fd00::/8"}).items():
        monkeypatch.setenv(name, value)
    server.answers = {"*": (200, CHAMPION)}
    return server


def test_health_checks_use_no_proxy(asked: Rehearsed) -> None:
    assert why_not(asked.url, ["model_version.version=3"]) == ""


def test_the_bootstrap_uses_no_proxy(asked: Rehearsed, tmp_path: Path) -> None:
    assert champion(Settings(mlflow_tracking_uri=asked.url, secrets_dir=tmp_path)) == "3"


def test_the_bootstrap_shows_no_password(tmp_path: Path) -> None:
    code = "import sys, containers.bootstrap as b; b.RETRY_SECONDS = 0; sys.exit(b.main())"
    environment = {
        "MLFLOW_TRACKING_URI": f"http://bob:s3cr3t@127.0.0.1:{free_port()}",
        "SECRETS_DIR": str(tmp_path),
        "DAYS": "60",
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error: MLflow at http://***@127.0.0.1" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr


@pytest.mark.parametrize("block", [r"x-airflow-environment: .*", r"x-bank-environment: .*", r"SCORER_CHAMPION_DIR: .*"])
def test_services_that_speak_http_use_no_proxy(block: str) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert re.search(r'^x-no-proxy: &no-proxy\n  NO_PROXY: "\*"\n  no_proxy: "\*"\n', compose, re.MULTILINE)
    variables = next(part for part in re.split(r"\n(?=\S|    environment:)", compose) if re.search(block, part))
    assert "<<: *no-proxy\n" in variables

"""The environment of the pipeline's processes: nothing of the shell's that steers them, and no proxy."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.airflow_api import Airflow
from demo.embedded_servers import ROOT, start_postgres, start_valkey
from demo.environment import KEPT, own_environment
from demo.http_servers import airflow_environment, answers
from demo.installation import Installation
from demo.java import version_of
from demo.secret_files import write_secrets
from demo.spark_archive import quoted

HOSTILE = {
    "HTTP_PROXY": "http://127.0.0.1:3128",
    "https_proxy": "socks5://127.0.0.1:1080",
    "ALL_PROXY": "::::",
    "NO_PROXY": "fd00::/8,[::1]/128",
    "SPARK_HOME": "/nowhere",
    "SPARK_SUBMIT_OPTS": "-XX:NoSuchOption",
    "SPARK_LOCAL_IP": "203.0.113.1",
    "SPARK_MASTER": "yarn",
    "PYSPARK_DRIVER_PYTHON": "jupyter",
    "PYSPARK_DRIVER_PYTHON_OPTS": "notebook",
    "PYSPARK_SUBMIT_ARGS": "--master yarn",
    "HADOOP_CONF_DIR": "/nowhere",
    "YARN_CONF_DIR": "/nowhere",
    "AIRFLOW_HOME": "/nowhere",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__DAGS_FOLDER": "/nowhere",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:1",
    "MLFLOW_RUN_ID": "0",
    "MLFLOW_TRACKING_TOKEN": "token",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONHASHSEED": "7",
    "PYTHONINSPECT": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONSAFEPATH": "1",
    "JAVA_TOOL_OPTIONS": "-XX:NoSuchOption",
    "_JAVA_OPTIONS": "-Xmx1k",
    "JDK_JAVA_OPTIONS": "-XX:NoSuchOption",
    "CLASSPATH": "/nowhere",
    "PGHOST": "203.0.113.1",
    "PGSERVICE": "nowhere",
    "PGOPTIONS": "-c no.such=1",
    "PGDATA": "/nowhere",
    "PGSSLMODE": "verify-full",
    "REDISCLI_AUTH": "x",
    "VALKEYCLI_AUTH": "x",
    "UVICORN_RELOAD": "1",
    "WEB_CONCURRENCY": "9",
    "GUNICORN_CMD_ARGS": "--reload",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://203.0.113.1",
    "LD_PRELOAD": "/nowhere.so",
    "BASH_ENV": "/nowhere",
    "LC_ALL": "C",
    "LANG": "C",
}
PREFIXES = (
    *(
        "SPARK_",
        "PYSPARK_",
        "HADOOP_",
        "YARN_",
        "AIRFLOW_",
        "AIRFLOW__",
        "MLFLOW_",
        "PYTHON",
        "JAVA_",
        "JDK_",
        "_JAVA_",
    ),
    *("PG", "REDIS", "VALKEY_", "UVICORN_", "OTEL_", "HTTP_", "ALL_"),
)
OURS = {"NO_PROXY", "no_proxy", "PYTHONPATH", "LC_ALL"}


def test_nothing_that_steers_the_pipeline_is_kept() -> None:
    kept = own_environment(given=HOSTILE | {"PATH": "/bin", "TZ": "UTC", "JAVA_HOME": "/java"})
    assert {name: value for name, value in kept.items() if name not in OURS} == {
        "PATH": "/bin",
        "TZ": "UTC",
        "JAVA_HOME": "/java",
    } | ({"LANG": "C"} if sys.platform != "linux" else {})
    assert kept["NO_PROXY"] == kept["no_proxy"] == "*"
    assert kept["PYTHONPATH"] == str(ROOT)


@given(
    prefix=st.sampled_from(PREFIXES),
    name=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=12),
    value=st.text(max_size=5),
)
def test_only_documented_names_of_a_program_are_kept(prefix: str, name: str, value: str) -> None:
    documented = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    kept = own_environment(given={prefix + name: value})
    assert (prefix + name in kept) == (prefix + name in documented | KEPT | OURS)


def test_documented_settings_are_kept_and_the_pipeline_s_own_win() -> None:
    kept = own_environment(
        {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, given={"MLFLOW_TRACKING_URI": "x", "DAYS": "60"}
    )
    assert (kept["MLFLOW_TRACKING_URI"], kept["DAYS"]) == ("http://127.0.0.1:1", "60")


def launched(*arguments: str, **variables: str) -> dict[str, str]:
    """The environment of a Python that was started as the Makefile does it."""
    show = ["-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    command = [sys.executable, "-I", "demo/environment.py", *arguments, *show]
    environment = {"PATH": os.environ["PATH"], "HOME": "/home"} | variables
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_a_command_is_started_in_it() -> None:
    found = launched(**HOSTILE, EXERCISE="x", DAYS="60")
    assert set(found) - {"PATH", "HOME", "DAYS"} == OURS
    assert found["DAYS"] == "60"


def test_proxies_are_kept_for_a_command_that_may_need_them() -> None:
    found = launched("--keep-proxies", **HOSTILE)
    assert {name for name in found if name.lower().endswith("_proxy")} == {
        name for name in HOSTILE if name.lower().endswith("_proxy")
    }
    assert "PYSPARK_DRIVER_PYTHON" not in found


def test_make_starts_everything_in_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    started = re.findall(r"/bin/python (.*?)-m (?:demo|exercises|modeling|benchmarks|pytest)\b(.*)", makefile)
    assert len(started) > 15
    assert [line for own, line in started if not own.startswith("$(OWN)") and "tests/compose" not in line] == []


def test_no_child_gets_the_shell_s_environment() -> None:
    folders = ("demo", "benchmarks/scorer")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "exercises/runner.py", ROOT / "exercises/live_pipeline.py"]
    for file in files:
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            name = ast.unparse(call.func)
            if name in ("subprocess.run", "subprocess.Popen") and file.name != "demo_copy.py":
                assert "env" in {keyword.arg for keyword in call.keywords}, f"{file.name}:{call.lineno}"
            assert name != "dict" or "os.environ" not in ast.unparse(call), f"{file.name}:{call.lineno}"
        if file.name != "environment.py":
            assert "os.environ |" not in file.read_text(), file.name


def test_every_http_client_says_whether_it_uses_a_proxy() -> None:
    folders = ("bank", "benchmarks", "containers", "dags", "demo", "modeling", "serving", "spark_jobs")
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            if re.fullmatch(r"httpx\.(get|post|put|request|stream|Client|AsyncClient)", ast.unparse(call.func)):
                said = {keyword.arg for keyword in call.keywords}
                assert said & {"trust_env", "transport"}, f"{file.relative_to(ROOT)}:{call.lineno}"
        assert ".urlopen(" not in file.read_text(), file.relative_to(ROOT)


# -- real servers and clients


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
def test_postgresql_and_valkey_start_in_a_hostile_shell_and_a_folder_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "a b (é)"
    for server in (
        start_postgres(folder / "postgres", "secret", folder / "postgres.log"),
        start_valkey(folder / "valkey", "secret", folder / "valkey.log"),
    ):
        server.stop()
    assert list((folder / "valkey").rglob("*.aof"))


class Recorder:
    """A proxy that answers 502 and counts what reached it, and a server that answers 200."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorder.asked.append(self.path)
                self.send_response(502 if self.path.startswith("http:") else 200)
                self.end_headers()
                self.wfile.write(b'{"access_token": "t"}')

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Suppress the request log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"NO_PROXY": "fd00::/8,[::1]/128,10.0.0.0/8"},
        {"ALL_PROXY": "socks5://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9"},
        {"HTTPS_PROXY": "::::", "no_proxy": "http://[::1"},
    ],
)
def test_own_servers_are_asked_directly(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in ({"HTTP_PROXY": recorder.url, "http_proxy": recorder.url} | variables).items():
        monkeypatch.setenv(name, value)
    assert answers(f"{recorder.url}/readyz")
    Airflow(recorder.url, "admin", "x").close()
    assert recorder.asked == ["/readyz", "/auth/token"]


@pytest.mark.usefixtures("hostile")
def test_java_is_asked_for_its_version_without_its_options(java_home: Path) -> None:
    assert version_of(java_home / "bin/java") is not None


@pytest.mark.usefixtures("hostile")
def test_airflow_gets_the_pipeline_s_settings_only(tmp_path: Path) -> None:
    installation = Installation(tmp_path, postgres_port=1, valkey_port=2, mlflow_port=3, scorer_port=4, airflow_port=5)
    write_secrets(installation.secrets)
    found = airflow_environment(installation)
    assert found["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert found["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert not {"HTTP_PROXY", "PYSPARK_DRIVER_PYTHON", "HADOOP_CONF_DIR", "JAVA_TOOL_OPTIONS", "PGHOST"} & set(found)
    assert "MLFLOW_REGISTRY_URI" not in found


def test_a_path_with_a_space_reaches_java_in_one_piece() -> None:
    assert quoted("-Xmx1g") == "-Xmx1g"
    assert quoted("-Djava.io.tmpdir=/a b") == '"-Djava.io.tmpdir=/a b"'

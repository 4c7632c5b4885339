"""Bootstrap the containers: `python -m containers.bootstrap`.

Loads the bank, runs both DAGs over its history in Airflow, and waits for the champion. Does nothing if there is a
champion already, and resumes after an interruption.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from containers.credentials import USER
from contracts.addresses import redact
from demo.airflow_api import Airflow, DagFailed
from demo.secret_files import read_secret

RETRY_SECONDS: Final = 120
TRIES: Final = 3
AGAIN: Final = "see the log of that service, then start again"


class Settings(BaseSettings):
    """Read from the environment; an empty variable counts as unset."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, protected_namespaces=())

    airflow_url: str = "http://127.0.0.1:8080"
    mlflow_tracking_uri: str = "http://127.0.0.1:5000"
    model_name: str = "fraud"
    secrets_dir: Path = Path("var/secrets")
    data: Path | None = None
    """The payments to load instead of a simulation, read by `map`."""
    map: str | None = None
    days: int = Field(default=120, ge=40, le=3_650)
    """The days of history, before the live days."""
    live_days: int = Field(default=245, ge=1, le=3_650)
    customers: int = Field(default=1_000, ge=50, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    replay_rate: int = Field(default=10, ge=1)
    """The rate of the live payments; not used here, but an invalid value is reported at once."""


class BootstrapError(Exception):
    """The bootstrap failed; the message says what, where and what to do."""


def bootstrap(settings: Settings, say: Callable[[str], None]) -> str:
    """Load the bank and run both DAGs until there is a champion; returns its version. Raises `BootstrapError`."""
    if version := champion(settings):
        say(f"version {version} is already champion: nothing to do")
        return version
    loaded = seed(settings)
    if not loaded.get("labelled", True):
        raise BootstrapError(
            f"the map {settings.map} has no fraud column, so no model can be trained, and there is no champion: map "
            "fraud or load labelled payments, then start again"
        )
    days = {"from": loaded["first_day"], "to": loaded["last_day"]}
    held_out = f"{len(loaded['held_out'])} more days are held out for the live replay"
    say(f"the bank has {loaded['rows']:,} payments, {days['from']} to {days['to']}; {held_out}")
    airflow = open_airflow(settings)
    try:
        run_until_success(airflow, "fraud_daily", days | {"train": True}, say)
        # The Asset of fraud_daily triggers this DAG; a manual run is started only if that run failed.
        airflow.newest_run("fraud_training")
        run_until_success(airflow, "fraud_training", days, say)
    except (httpx.HTTPError, TimeoutError) as error:
        raise BootstrapError(f"a request to Airflow at {settings.airflow_url} failed ({error}): {AGAIN}") from error
    finally:
        airflow.close()
    version = wait_for_champion(settings)
    say(f"version {version} is champion")
    return version


def seed(settings: Settings) -> dict[str, Any]:
    """Load the history into the bank; idempotent. Returns the result of bank.load. Raises `BootstrapError`."""
    command = [sys.executable, "-m", "bank.load", *feed_options(settings), "--hold-out-days", str(settings.live_days)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode < 0:
        raise BootstrapError(
            f"bank.load was killed by signal {-done.returncode}: if memory ran out, set fewer CUSTOMERS or DAYS"
        )
    if done.returncode != 0:
        raise BootstrapError("bank.load failed: fix the error above (--hold-out-days is LIVE_DAYS), then start again")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def feed_options(settings: Settings) -> list[str]:
    """The options of the bank's commands that select the payments."""
    if settings.data is not None:
        return ["--data", str(settings.data), *(["--map", settings.map] if settings.map else [])]
    days = str(settings.days + settings.live_days)
    return ["--customers", str(settings.customers), "--days", days, "--seed", str(settings.seed)]


def open_airflow(settings: Settings) -> Airflow:
    """Log in to Airflow and wait until both DAGs are loaded. Raises `BootstrapError`."""
    password = read_secret(settings.secrets_dir, "airflow_password")
    with ExitStack() as stack:
        try:
            airflow: Airflow = _patient(lambda: Airflow(settings.airflow_url, USER, password))
            stack.callback(airflow.close)
            for dag in ("fraud_daily", "fraud_training"):
                airflow.wait_for_dag(dag)
        except (httpx.HTTPError, TimeoutError) as error:
            raise BootstrapError(f"cannot connect to Airflow at {settings.airflow_url} ({error!r}): {AGAIN}") from error
        stack.pop_all()
    return airflow


def run_until_success(airflow: Airflow, dag: str, conf: dict[str, Any], say: Callable[[str], None]) -> None:
    """Follow the newest run that has not failed, or start one, until one succeeds. Raises `BootstrapError`."""
    for number in range(TRIES):
        runs = airflow.runs(dag)
        run = next((run for run, state in runs.items() if state != "failed"), None)
        if run is None:
            run = airflow.start(dag, conf, f"bootstrap-{len(runs) + 1}")
        try:
            for task in airflow.follow(dag, run, lambda _: None):
                say(f"{dag}: {task.task} {task.state} in {task.seconds:.1f} s")
            return
        except DagFailed as failed:
            say(f"{failed}, run {run}, attempt {number + 1} of {TRIES}; its log ends:\n{_log_tail(airflow, failed)}")
    raise BootstrapError(f"{dag} failed {TRIES} times: fix the error above, then start again")


def _log_tail(airflow: Airflow, failed: DagFailed) -> str:
    try:
        return "\n".join(airflow.task_log_tail(failed.dag, failed.run, failed.task))
    except httpx.HTTPError as error:
        # A task that never ran, or whose scheduler was killed, has no log; the next attempt may still succeed.
        return f"no log available ({error})"


def champion(settings: Settings) -> str | None:
    """The champion's version, None if there is none. Raises `BootstrapError` if MLflow does not answer."""
    query = {"name": settings.model_name, "alias": "champion"}
    address = f"{settings.mlflow_tracking_uri}/api/2.0/mlflow/registered-models/alias"
    try:
        answer = _patient(lambda: httpx.get(address, params=query, timeout=10, auth=_login(settings), trust_env=False))
    except httpx.HTTPError as error:
        raise BootstrapError(
            f"MLflow at {settings.mlflow_tracking_uri} is not responding ({error!r}): {AGAIN}"
        ) from error
    if answer.is_error and "not found" in answer.text:
        return None
    if answer.is_error:
        raise BootstrapError(
            f"MLflow at {settings.mlflow_tracking_uri} answers {answer.status_code} ({answer.text[:200]}): {AGAIN}"
        )
    version: str = answer.json()["model_version"]["version"]
    return version


def _login(settings: Settings) -> tuple[str, str] | None:
    """The user and the password for MLflow; None without a file `mlflow_login`."""
    if not (settings.secrets_dir / "mlflow_login").exists():
        return None
    user, _, password = read_secret(settings.secrets_dir, "mlflow_login").partition(":")
    return user, password


def wait_for_champion(settings: Settings) -> str:
    """Wait for the champion; returns its version. Raises `BootstrapError` if there is none after 30 seconds."""
    waiting = Retrying(
        retry=retry_if_result(lambda version: version is None), wait=wait_fixed(0.5), stop=stop_after_delay(30)
    )
    try:
        return str(waiting(champion, settings))
    except RetryError:
        raise BootstrapError(
            "fraud_training succeeded but there is no champion: see the log of its task promote in Airflow"
        ) from None


def _patient(work: Callable[[], Any]) -> Any:
    waiting = Retrying(
        retry=retry_if_exception_type(httpx.TransportError),
        wait=wait_fixed(0.5),
        stop=stop_after_delay(RETRY_SECONDS),
        reraise=True,
    )
    return waiting(work)


def main() -> int:
    """The command; returns its exit code. Its last line is JSON."""
    start = time.monotonic()
    try:
        version = bootstrap(Settings(), lambda text: print(text, flush=True))
    except ValidationError as error:
        wrong = "; ".join(f"{str(one['loc'][0]).upper()}={one['input']}: {one['msg']}" for one in error.errors())
        print(redact(f"error: {wrong}"), file=sys.stderr)
        return 2
    except BootstrapError as error:
        print(redact(f"error: {error}"), file=sys.stderr)
        return 1
    print(json.dumps({"model_version": version, "seconds": round(time.monotonic() - start, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

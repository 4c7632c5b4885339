"""Run the scorer and its stores on the demo's data until interrupted: `make serve`."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from demo.command import INTERRUPTED, run_command
from demo.embedded_servers import ROOT, claim_port, tail
from demo.http_servers import start_mlflow, start_scorer
from demo.installation import DEMO, Installation, python_of, require_signed_models
from demo.options import Options, read_options
from demo.run import start_stores, wait_until
from demo.secret_files import read_secret
from demo.step_runner import StepFailed

ADDRESSES = ROOT / "var/serve.env"
DEFAULT_SCORER_PORT = 8000


def main() -> int:
    """The command; returns its exit code, 0 after Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    code = run_command(console, lambda stack: serve(read_options(), console, stack), on_the_demo=True)
    return 0 if code == INTERRUPTED else code


def serve(options: Options, console: Console, stack: ExitStack) -> NoReturn:
    """Start the servers, print their addresses and wait for the scorer.

    Raises `StepFailed` when the scorer ends, `ServerError` if the demo is of an older version, KeyboardInterrupt on
    Ctrl-C.
    """
    require_signed_models(DEMO)
    installation = Installation(
        folder=DEMO,
        postgres_port=claim_port(options.postgres_port, "POSTGRES_PORT"),
        valkey_port=claim_port(options.valkey_port, "VALKEY_PORT"),
        mlflow_port=claim_port(options.mlflow_port, "MLFLOW_PORT"),
        scorer_port=claim_port(options.scorer_port or DEFAULT_SCORER_PORT, "SCORER_PORT"),
    )
    with console.status("starting PostgreSQL, Valkey, MLflow and the scorer …"):
        start_stores(installation, stack)
        mlflow = start_mlflow(installation)
        stack.callback(mlflow.stop)
        migrate(installation)
        wait_until(f"{installation.mlflow_url}/health", mlflow)
        scorer = start_scorer(installation)
        stack.callback(scorer.stop)
        wait_until(f"{installation.scorer_url}/readyz", scorer)
    write_addresses(installation, ADDRESSES)
    stack.callback(ADDRESSES.unlink, missing_ok=True)
    console.print(f"scorer   {installation.scorer_url}   (docs at /docs)\nMLflow   {installation.mlflow_url}")
    console.print(f"key      in {ADDRESSES}\nPress Ctrl-C to stop.")
    scorer.process.wait()
    raise StepFailed("the scorer", scorer.log, "")


def migrate(installation: Installation) -> None:
    """Upgrade the tables, which an older version of this code may have created. Raises `StepFailed`."""
    log = installation.logs / "migrate.log"
    command = [str(python_of("pipeline")), "-m", "bank.migrate"]
    environment = installation.environment()
    with log.open("wb") as out:
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise StepFailed("migrate the bank", log, tail(log))


def write_addresses(installation: Installation, path: Path) -> None:
    """Write the addresses and the API key as NAME=value lines, mode 0600."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        f"SCORER_URL={installation.scorer_url}\n"
        f"SCORER_API_KEY={read_secret(installation.secrets, 'scorer_api_key')}\n"
        f"MLFLOW_URL={installation.mlflow_url}\n"
    )


if __name__ == "__main__":
    sys.exit(main())

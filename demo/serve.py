"""The scorer and its stores on what the demo left, until interrupted: `make serve`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from demo.command import INTERRUPTED, run_command
from demo.embedded_servers import ROOT, claim_port, tail
from demo.http_servers import start_mlflow, start_scorer
from demo.installation import DEMO, Place, python_of
from demo.options import Options, read_options
from demo.run import start_stores, wait_until
from demo.secret_files import read_secret
from demo.steps import StepFailed

ADDRESSES = ROOT / "var/serve.env"
DEFAULT_SCORER_PORT = 8000


def main() -> int:
    """Serve; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    code = run_command(console, lambda stack: serve(read_options(), console, stack), on_the_demo=True)
    return 0 if code == INTERRUPTED else code


def serve(options: Options, console: Console, stack: ExitStack) -> NoReturn:
    """Start everything, say where it is, and wait; ends with the scorer, or by KeyboardInterrupt."""
    place = Place(
        folder=DEMO,
        postgres_port=claim_port(options.postgres_port, "POSTGRES_PORT"),
        valkey_port=claim_port(options.valkey_port, "VALKEY_PORT"),
        mlflow_port=claim_port(options.mlflow_port, "MLFLOW_PORT"),
        scorer_port=claim_port(options.scorer_port or DEFAULT_SCORER_PORT, "SCORER_PORT"),
    )
    with console.status("starting PostgreSQL, Valkey, MLflow and the scorer …"):
        start_stores(place, stack)
        mlflow = start_mlflow(place)
        migrate(place)
        stack.callback(mlflow.stop)
        wait_until(f"{place.mlflow_url}/health", mlflow)
        scorer = start_scorer(place)
        stack.callback(scorer.stop)
        wait_until(f"{place.scorer_url}/readyz", scorer)
    write_addresses(place, ADDRESSES)
    stack.callback(ADDRESSES.unlink, missing_ok=True)
    console.print(f"scorer   {place.scorer_url}   (docs at /docs)\nMLflow   {place.mlflow_url}")
    console.print(f"key      in {ADDRESSES}\nCtrl-C ends it.")
    scorer.process.wait()
    raise StepFailed("the scorer", scorer.log, "")


def migrate(place: Place) -> None:
    """Upgrade the tables, which an older version of this code may have made. Raises `StepFailed`."""
    log = place.logs / "migrate.log"
    command = [str(python_of("pipeline")), "-m", "bank.migrate"]
    with log.open("wb") as out:
        done = subprocess.run(command, env=os.environ | place.settings(), cwd=ROOT, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise StepFailed("migrate the bank", log, tail(log))


def write_addresses(place: Place, path: Path) -> None:
    """Write the addresses and the key as lines of NAME=value, for their owner alone."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        f"SCORER_URL={place.scorer_url}\n"
        f"SCORER_API_KEY={read_secret(place.secrets, 'scorer_api_key')}\n"
        f"MLFLOW_URL={place.mlflow_url}\n"
    )


if __name__ == "__main__":
    sys.exit(main())

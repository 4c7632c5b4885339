"""The running pipeline for a capstone: stores, MLflow and scorer on a copy of the demo's data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.command import lock_demo
from demo.demo_copy import copy_of_demo
from demo.embedded_servers import ServerError
from demo.http_servers import start_mlflow, start_scorer
from demo.processes import adopt_orphans, interrupt_on_signals, stop_descendants
from demo.run import start_stores, wait_until
from demo.secret_files import read_secret
from demo.step_runner import StepFailed
from exercises.expect import UnavailableError

KEY_VARIABLE = "SCORER_API_KEY"


@contextmanager
def running_pipeline(folder: Path) -> Iterator[dict[str, str]]:
    """Run the pipeline during a check, and yield its settings as environment variables, with the scorer's API key.

    Raises `UnavailableError` if it cannot be started.
    """
    lock = lock_demo()
    if lock is None:
        raise UnavailableError("the demo's servers are in use by another command: wait for it, or stop it")
    interrupt_on_signals()
    adopt_orphans()
    try:
        with ExitStack() as stack:
            try:
                place = copy_of_demo(folder)
                start_stores(place, stack)
                mlflow = start_mlflow(place)
                stack.callback(mlflow.stop)
                wait_until(f"{place.mlflow_url}/health", mlflow)
                scorer = start_scorer(place)
                stack.callback(scorer.stop)
                wait_until(f"{place.scorer_url}/readyz", scorer)
            except (ServerError, StepFailed) as error:
                raise UnavailableError(
                    f"the pipeline did not start: {error}\n`make demo` rebuilds the data that it starts from"
                ) from error
            yield place.environment(**{KEY_VARIABLE: read_secret(place.secrets, "scorer_api_key")})
    finally:
        stop_descendants()
        lock.close()

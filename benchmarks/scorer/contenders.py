"""The measured servers and endpoints: how they are started and what is sent to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scorer import files
from demo.embedded_servers import Server, free_port, launch_process
from demo.http_servers import MLFLOW_ENV
from demo.installation import Installation, python_of


@dataclass(frozen=True)
class Contender:
    """An endpoint of a server, and the file with the request bodies for it."""

    name: str
    server: str
    path: str
    bodies: str


BARE, NO_OP, SCORE, BATCH = "bare FastAPI endpoint", "no-op endpoint", "POST /v1/score", "POST /v1/score/batch"
MLFLOW, PLAIN = "mlflow models serve", "FastAPI and predict_proba"
CONTENDERS = (
    Contender(BARE, "bare", "/score", files.PAYMENTS),
    Contender(NO_OP, "scorer", files.NO_OP_PATH, files.PAYMENTS),
    Contender(SCORE, "scorer", "/v1/score", files.PAYMENTS),
    Contender(MLFLOW, "mlflow-models", "/invocations", files.FRAMES),
    Contender(PLAIN, "plain", "/predict", files.ROWS),
)
ALL_AT_ONCE = Contender(BATCH, "scorer", "/v1/score/batch", files.BATCHES)


@dataclass(frozen=True)
class Running:
    """A contender's running server, its URL and the URL of its readiness check."""

    server: Server
    url: str
    ready: str


def start_contenders(
    installation: Installation, folder: Path, stop: Callable[[Callable[[], None]], object]
) -> dict[str, Running]:
    """Start the servers, each with one worker; `stop` receives a function that stops each."""
    model = str(folder / files.MODEL)
    bare, plain, mlflow = free_port(), free_port(), free_port()
    serve = f"mlflow models serve --env-manager local --workers 1 --host 127.0.0.1 --port {mlflow} --model-uri".split()
    commands = {
        "scorer": ("serving", ["benchmarks.scorer.contender"], installation.scorer_port, "/readyz"),
        "bare": ("serving", ["benchmarks.scorer.bare_fastapi", "--port", str(bare)], bare, "/health"),
        "mlflow-models": ("pipeline", [*serve, model], mlflow, "/health"),
        "plain": ("pipeline", ["benchmarks.scorer.plain_fastapi", model, "--port", str(plain)], plain, "/health"),
    }
    # They share two cores, where threads that spin while waiting would slow each other down.
    environment = installation.environment(**MLFLOW_ENV) | {"OMP_NUM_THREADS": "1"}
    started = {}
    for name, (where, module, port, ready) in commands.items():
        command = [str(python_of(where)), "-m", *module]
        server = launch_process(name, command, installation.logs / f"{name}.log", environment, port)
        stop(server.stop)
        url = f"http://127.0.0.1:{port}"
        started[name] = Running(server, url, url + ready)
    return started

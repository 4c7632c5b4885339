"""One Spark application for the jobs of a day: `spark-submit spark_jobs/shared_session.py ADDRESS`.

Short jobs spend most of their time on starting an application, so `spark_jobs/submit.py` runs several in this one, one
after another. Each job runs as if started by spark-submit: as `__main__`, with its own arguments and the environment of
its submitter, who also receives its output.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import os
import runpy
import secrets
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Final

from spark_jobs.session import start_session

IDLE_VARIABLE: Final = "SPARK_IDLE_SECONDS"
IDLE_SECONDS: Final = 10
"""The default time to wait for the next job, in seconds."""
LOOK_SECONDS: Final = 1
REQUEST_SECONDS: Final = 10


class Relay(io.TextIOBase):
    """A text stream that sends what is written to the job's submitter."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        """Always True."""
        return True

    def write(self, text: str) -> int:
        """Send some text."""
        send(self._connection, {"text": text})
        return len(text)


def serve(address: Path) -> None:
    """Run jobs until none arrives in time, one fails, or the JVM has ended; `address` is the file to publish to."""
    patience = float(os.environ.get(IDLE_VARIABLE) or IDLE_SECONDS)
    spark = start_session("jobs")
    jvm, token = os.getppid(), secrets.token_urlsafe(32)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LOOK_SECONDS)
        publish(address, {"port": listener.getsockname()[1], "token": token})
        idle_from = time.monotonic()
        while time.monotonic() < idle_from + patience and os.getppid() == jvm:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                if take(connection, token) not in (0, None):
                    break
            idle_from = time.monotonic()
    address.unlink(missing_ok=True)
    spark.stop()


def publish(address: Path, listening: dict[str, Any]) -> None:
    """Write port and token to the file `address`, atomically and readable only by its owner."""
    fresh = address.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(listening, file)
    fresh.replace(address)


def take(connection: socket.socket, token: str) -> int | None:
    """Run the requested job; returns its exit code, None for an invalid request or a wrong token."""
    connection.settimeout(REQUEST_SECONDS)
    with connection.makefile("rb") as lines:
        try:
            request = json.loads(lines.readline())
            if not hmac.compare_digest(request["token"], token):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
    connection.settimeout(None)
    send(connection, {"taken": True})
    finished = threading.Event()
    threading.Thread(target=end_with, args=(connection, finished), daemon=True).start()
    code = run(request["arguments"], request["environment"], Relay(connection))
    finished.set()
    send(connection, {"code": code})
    return code


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send a message as a line of JSON."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def end_with(connection: socket.socket, finished: threading.Event) -> None:
    """Exit at once if the connection closes before the job is finished, because its submitter was killed."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    if not finished.is_set():
        os._exit(1)


def run(arguments: list[str], environment: dict[str, str], output: Relay) -> int:
    """Run a job's script as `__main__`; returns the exit code that a separate process would have."""
    kept, argv = dict(os.environ), sys.argv
    os.environ.update(environment)
    sys.argv = arguments
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                runpy.run_path(arguments[0], run_name="__main__")
            except SystemExit as ended:
                return exit_code(ended)
            except BaseException:
                traceback.print_exc()
                return 1
            return 0
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(kept)


def exit_code(ended: SystemExit) -> int:
    """The exit code for a SystemExit; like Python, prints a code that is not a number and returns 1."""
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    print(ended.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

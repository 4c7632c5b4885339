#!/usr/bin/env python3
"""A spark-submit for the jobs of a day: the first job starts a Spark application, the next ones run in it.

`submit.py [options of spark-submit] APPLICATION.py [arguments]` is called like spark-submit, so it can be the
`spark_binary` of Airflow's SparkSubmitOperator. It relays the job's output and exits with its exit code. The
application, `spark_jobs/shared_session.py`, ends if no job arrives in time, if a job fails, or if this command is
killed while its job runs. It imports only the standard library, so it runs in any environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

SERVER: Final = Path(__file__).resolve().with_name("shared_session.py")
START_SECONDS: Final = 300
POLL_SECONDS: Final = 0.05
SHOWN_LINES: Final = 20


def main(arguments: Sequence[str]) -> int:
    """Run the job given on the command line; returns its exit code."""
    options, job = split_arguments(arguments)
    address = address_of(options)
    request = {"arguments": job, "environment": dict(os.environ)}
    code = run_job(address, request)
    while code is None:
        if (problem := start_session(options, address)) is not None:
            print(
                f"the Spark application did not start: {problem}; its log {log_of(address)} ends:\n{log_end(address)}",
                flush=True,
            )
            return 1
        code = run_job(address, request)
    return code


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split into spark-submit's options, without the job's name, and the job with its arguments. Raises SystemExit."""
    position = next((n for n, argument in enumerate(arguments) if argument.endswith(".py")), None)
    if position is None:
        sys.exit("usage: submit.py [options of spark-submit] APPLICATION.py [arguments]")
    options, job = list(arguments[:position]), list(arguments[position:])
    if "--name" in options:
        at = options.index("--name")
        del options[at : at + 2]
    return options, job


def address_of(options: Sequence[str]) -> Path:
    """The file with the port of the application that has these options, the same for all of its jobs."""
    which = hashlib.sha256(json.dumps([str(SERVER), os.geteuid(), *options]).encode()).hexdigest()
    return Path(tempfile.gettempdir()) / f"fraud-relay-spark-{which[:16]}.json"


def run_job(address: Path, request: dict[str, Any]) -> int | None:
    """Run a job in the application at `address` and relay its output; returns None if no application accepts it."""
    try:
        if address.stat().st_uid != os.geteuid():
            sys.exit(f"{address} belongs to another user: remove it, or set TMPDIR to another folder")
        listening = json.loads(address.read_text())
        connection = socket.create_connection(("127.0.0.1", listening["port"]))
    except (OSError, ValueError):
        return None
    with connection, connection.makefile("rb") as lines:
        try:
            connection.sendall(json.dumps({"token": listening["token"], **request}).encode() + b"\n")
            taken = lines.readline()
        except OSError:
            return None
        return _relay(lines, address) if taken else None


def _relay(lines: Iterable[bytes], address: Path) -> int:
    try:
        for line in lines:
            message = json.loads(line)
            if "code" in message:
                return int(message["code"])
            sys.stdout.write(message["text"])
            sys.stdout.flush()
    except OSError:
        pass
    what = "the Spark application ended during the job: run the job again"
    print(f"{what}; its log {log_of(address)} ends:\n{log_end(address)}", flush=True)
    return 1


def start_session(options: Sequence[str], address: Path) -> str | None:
    """Start the application and wait until it listens; returns the reason if it does not."""
    address.unlink(missing_ok=True)
    if shutil.which("spark-submit") is None:
        return "spark-submit is not on PATH: add the `bin` folder of the pipeline environment"
    with log_of(address).open("wb") as log:
        # In a new session, because it outlives the task that starts it.
        server = subprocess.Popen(
            ["spark-submit", *options, str(SERVER), str(address)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while not address.exists():
        if server.poll() is not None:
            return f"spark-submit exited with code {server.returncode}"
        if time.monotonic() > end:
            server.terminate()
            return f"it was not ready after {START_SECONDS} s"
        time.sleep(POLL_SECONDS)
    return None


def log_of(address: Path) -> Path:
    """The application's log, with Spark's own errors but not the output of jobs."""
    return address.with_suffix(".log")


def log_end(address: Path) -> str:
    """The last lines of the application's log."""
    try:
        return "\n".join(log_of(address).read_text(errors="replace").splitlines()[-SHOWN_LINES:])
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

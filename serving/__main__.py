"""`python -m serving`: serve until interrupted, then relay what is left in the outbox."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from contracts.compiled import KernelError, check_platform
from serving.app import create_app
from serving.errors import SettingsError
from serving.middleware.file_handles import raise_limit
from serving.middleware.http_limits import LimitedHttpProtocol
from serving.observability.logging import configure_logging
from serving.observability.metrics import MULTIPROCESS
from serving.settings import Settings, read_settings

BACKLOG = 2048
BUFFER_BYTES = 64 * 1024
"""The system's buffer of a connection in each direction; Linux doubles it. Without a limit each takes megabytes of the
memory for all connections of the machine, if clients send without reading or read too slowly."""
SHUTDOWN_SECONDS = 10
SILENT_SECONDS = 30
"""A worker that does not answer for so long is replaced; starting on a busy machine takes a while."""


def main() -> int:
    """Serve; returns the exit code."""
    try:
        check_platform()
        settings = read_settings()
        app = create_app(settings)
        listening = listen(settings)
    except (SettingsError, KernelError) as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    configure_logging(settings.scorer_access_log)
    # Worker processes inherit it.
    raise_limit()
    if settings.scorer_workers > 1:
        return serve_by_many(settings, listening)
    # uvicorn raises the signal that ended it again: an orderly stop must not look like a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config_of(settings, app))
    server.run(sockets=[listening])
    return 0 if server.started else 1


def serve_by_many(settings: Settings, listening: socket.socket) -> int:
    """Serve with several processes that share the socket; one that dies is replaced. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="scorer-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder
        supervisor = Multiprocess(config_of(settings, "serving.worker:create"), sockets=[listening])
        supervisor.run()
    return int(any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes))


def config_of(settings: Settings, app: object) -> uvicorn.Config:
    """The configuration of uvicorn for an application, or for the name of its factory."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=isinstance(app, str),
        http=LimitedHttpProtocol,
        # The scorer has no WebSocket, and its limits would not hold for one.
        ws="none",
        workers=settings.scorer_workers,
        log_config=None,
        access_log=settings.scorer_access_log,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_worker_healthcheck=SILENT_SECONDS,
    )


def listen(settings: Settings) -> socket.socket:
    """A socket on the configured address. Raises `SettingsError`, naming the variable to change."""
    host, port = settings.scorer_host, settings.scorer_port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise SettingsError(
            f"SCORER_HOST {host!r} is not a known address ({error}): set it to one of this machine"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port} ({os.strerror(error.errno or 0)}): stop what listens there, or set "
            "another SCORER_HOST or SCORER_PORT"
        ) from None
    # Connections inherit them.
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        listening.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    return listening


if __name__ == "__main__":
    sys.exit(main())

"""`python -m serving`: serve until interrupted, then drain."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn

from serving.app import create_app
from serving.errors import SettingsError
from serving.logs import configure_logging
from serving.settings import Settings, read_settings

BACKLOG = 2048
SHUTDOWN_SECONDS = 10


def main() -> int:
    """Serve; returns the exit code."""
    try:
        settings = read_settings()
        app = create_app(settings)
        listening = listen(settings)
    except SettingsError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    configure_logging(settings.scorer_access_log)
    # uvicorn raises the signal that ended it once more: having stopped in order is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=settings.scorer_access_log,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listening])
    return 0 if server.started else 1


def listen(settings: Settings) -> socket.socket:
    """A socket on the address of the settings. Raises `SettingsError`, naming the variable to change."""
    host, port = settings.scorer_host, settings.scorer_port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise SettingsError(f"SCORER_HOST {host!r} is no address of this machine: {error}") from None
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror}: end what listens there, "
            "or set SCORER_PORT to another"
        ) from None


if __name__ == "__main__":
    sys.exit(main())

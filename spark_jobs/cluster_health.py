"""Health check of a standalone cluster: `python -m spark_jobs.cluster_health URL_OF_MASTER [--worker]`.

Exits with 0 if the master at this address is alive and, with `--worker`, has this machine's worker as alive; otherwise
prints the reason and exits with 1. It runs every few seconds, so it imports only the standard library.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from typing import Any, Final

TIMEOUT_SECONDS: Final = 4
OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without a proxy: Docker gives the one of its client to every container."""


def why_not(cluster: dict[str, Any], worker: str | None) -> str:
    """Why the cluster in the master's answer is not healthy, empty if it is; `worker` is an IP address or None."""
    if cluster.get("status") != "ALIVE":
        return f"the master is {cluster.get('status')}"
    workers = [(one["host"], one["state"]) for one in cluster.get("workers", [])]
    if worker and (worker, "ALIVE") not in workers:
        return f"worker {worker} is not alive at the master, which has {workers}"
    return ""


def main(url: str, is_worker: bool) -> int:
    """The command; returns its exit code."""
    worker = socket.gethostbyname(socket.gethostname()) if is_worker else None
    try:
        with OPENER.open(f"{url}/json/", timeout=TIMEOUT_SECONDS) as answer:
            problem = why_not(json.load(answer), worker)
    except (OSError, ValueError) as error:
        problem = f"the master at {url} is not responding: {error!r}"
    if problem:
        print(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--worker" in sys.argv[2:]))

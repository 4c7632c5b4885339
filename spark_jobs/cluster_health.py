"""Health of a standalone cluster: `python -m spark_jobs.cluster_health URL_OF_MASTER [--worker]`.

Ends with 0 where the master at this address is in charge and, with `--worker`, counts the worker on this machine among
those it gives work to; else with 1 and why. Standard library alone, for it runs every few seconds.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from typing import Any, Final

TIMEOUT_SECONDS: Final = 4


def why_not(cluster: dict[str, Any], worker: str | None) -> str:
    """What is wrong with what the master says of its cluster, empty where nothing is; `worker` is an address."""
    if cluster.get("status") != "ALIVE":
        return f"the master is {cluster.get('status')}"
    known = [(one["host"], one["state"]) for one in cluster.get("workers", [])]
    if worker and (worker, "ALIVE") not in known:
        return f"the master gives no work to {worker}: it knows {known}"
    return ""


def main(url: str, is_worker: bool) -> int:
    """The command."""
    worker = socket.gethostbyname(socket.gethostname()) if is_worker else None
    try:
        with urllib.request.urlopen(f"{url}/json/", timeout=TIMEOUT_SECONDS) as answer:
            problem = why_not(json.load(answer), worker)
    except (OSError, ValueError) as error:
        problem = f"the master at {url} does not answer: {error!r}"
    if problem:
        print(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--worker" in sys.argv[2:]))

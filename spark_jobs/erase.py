"""Erase: forget one customer in the lake and in the histories that the jobs write: `python -m spark_jobs.erase`.

It is safe to run again. No other job may run meanwhile, since it could write back rows that it read earlier.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, Final

from contracts.transaction import MAX_ID
from spark_jobs.errors import JobError
from spark_jobs.io.online_store import erase_history, erase_payments, open_state
from spark_jobs.lake.erasure import erase_of_payments, erase_rows, own_ids, payments_of
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.staged_write import running, staging
from spark_jobs.runner import report_error
from spark_jobs.settings import Settings

JOB: Final = "erase"


def erase(settings: Settings, customer_id: int) -> dict[str, Any]:
    """Remove the customer's rows and entries; how many there were. Raises `JobError`."""
    lake = Lake(settings.lake_root)
    if others := running(lake):
        raise JobError(f"{', '.join(others)} is writing to {lake.root}: wait until it ends, then run again")
    payments = payments_of(lake, customer_id)
    # The online state first: the lake tells which entries are the customer's.
    with open_state(settings.valkey_url, settings.secrets_dir) as client:
        histories = erase_history(client, customer_id) | erase_payments(client, payments)
    with staging(lake, JOB) as own:
        rows = erase_of_payments(own, own_ids(lake, customer_id)) | erase_rows(own, customer_id)
    return {"job": JOB, "rows": rows, **histories}


def main() -> int:
    """The command; returns its exit code. Its last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m spark_jobs.erase", description=__doc__)
    parser.add_argument("--customer", type=int, required=True, metavar="ID", help="the customer to forget")
    customer_id = parser.parse_args().customer
    if abs(customer_id) > MAX_ID:
        parser.error(f"--customer {customer_id} is not a valid id: ids have at most 63 bits")
    began = time.perf_counter()
    try:
        result = erase(Settings(), customer_id)
    except Exception as error:
        report_error(JOB, error)
        return 1
    print(json.dumps(result | {"seconds": round(time.perf_counter() - began, 2)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

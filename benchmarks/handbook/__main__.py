"""The published benchmark, side by side: `make handbook DATA=<folder>`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bank.errors import BankError
from bank.published import PublishedFeed
from benchmarks.handbook.data import Payments, read_payments
from benchmarks.handbook.errors import BenchmarkError
from benchmarks.handbook.options import read_options
from benchmarks.handbook.report import markdown, unreproduced, write_results
from benchmarks.handbook.run import benchmark
from benchmarks.handbook.schedule import schedule_of
from contracts.days import DayRange
from contracts.transaction import from_epoch_seconds
from modeling.errors import ModelingError

FOLDER: Final = Path("var/handbook")
STRAYS: Final = 0.0005
"""The share of payments at either end that no week is laid by: far less than a day's of any data that can be used."""


def main() -> None:
    """Run it; what a person can mend ends it with one line on standard error and exit code 1."""
    # As modelling's own commands do, before scikit-learn is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        options = read_options()
        payments, left_aside = read_payments(PublishedFeed(options.folder, datetime.now(UTC)))
        if left_aside:
            print(f"left aside: {left_aside:,} payments that are broken or whose id came before", file=sys.stderr)
        results = benchmark(payments, schedule_of(days_of(payments), options.start, options.weeks))
    except (BankError, BenchmarkError, ModelingError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    write_results(results, FOLDER)
    print(markdown(results))
    off = unreproduced(results)
    print(f"The same: {FOLDER / 'results.md'}; for programs: {FOLDER / 'results.json'}")
    if off:
        sys.exit(f"error: the published figures were not reproduced: {'; '.join(off)}")


def days_of(payments: Payments) -> DayRange:
    """The first to the last day, but for strays: one date lost or mistyped must not move the weeks."""
    strays = int(STRAYS * len(payments))
    first, last = (from_epoch_seconds(int(payments.occurred[place])).date() for place in (strays, -1 - strays))
    return DayRange(first, last)


if __name__ == "__main__":
    main()

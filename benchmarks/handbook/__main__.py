"""Run the published benchmark and compare the champion with the published models: `make handbook DATA=<folder>`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bank.errors import BankError
from bank.published_feed import PublishedFeed
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
"""The share of payments at either end that is ignored for the range of days; far less than a day of payments."""


def main() -> None:
    """The command; a user-fixable error ends it with one line on standard error and exit code 1."""
    # As in `modeling.runner`, before scikit-learn is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        options = read_options()
        payments, ignored = read_payments(PublishedFeed(options.folder, datetime.now(UTC)))
        if ignored:
            print(f"ignored: {ignored:,} payments that are invalid or have a repeated id", file=sys.stderr)
        results = benchmark(payments, schedule_of(days_of(payments), options.start, options.weeks))
    except (BankError, BenchmarkError, ModelingError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    write_results(results, FOLDER)
    print(markdown(results))
    off = unreproduced(results)
    print(f"Also written to {FOLDER / 'results.md'} and {FOLDER / 'results.json'}")
    if off:
        sys.exit(f"error: the published figures were not reproduced: {'; '.join(off)}")


def days_of(payments: Payments) -> DayRange:
    """The first to the last day, ignoring outliers: a few wrong dates must not move the weeks."""
    strays = int(STRAYS * len(payments))
    first, last = (from_epoch_seconds(int(payments.occurred[at])).date() for at in (strays, -1 - strays))
    return DayRange(first, last)


if __name__ == "__main__":
    main()

"""The main function shared by all commands: options, result line, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Mapping

from contracts.addresses import redact
from contracts.days import DayRange, add_day_range, day_range
from spark_jobs.errors import JobError, one_line
from spark_jobs.settings import Settings

Result = Mapping[str, object]


def run_command(name: str, body: Callable[[Settings, DayRange], Result]) -> int:
    """Run `body` on the days given on the command line and print its result as JSON. Returns the exit code."""
    days = _days_from_options(name)
    try:
        print(json.dumps(body(Settings(), days)), flush=True)
    except Exception as error:
        report_error(f"{name} {days}", error)
        return 1
    return 0


def _days_from_options(name: str) -> DayRange:
    parser = argparse.ArgumentParser(prog=name)
    add_day_range(parser)
    return day_range(parser, parser.parse_args())


def report_error(what: str, error: Exception) -> None:
    """Print one line on standard error; for unexpected errors, print the traceback on standard output."""
    if not isinstance(error, JobError):
        print(redact("".join(traceback.format_exception(error))))
    print(redact(f"{what}: {one_line(error)}"), file=sys.stderr, flush=True)

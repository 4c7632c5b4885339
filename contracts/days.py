"""Ranges of UTC days, both ends included, as given by every job's `--from` and `--to`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from contracts.transaction import epoch_seconds


@dataclass(frozen=True)
class DayRange:
    """The days from `first` to `last`, both included. Raises ValueError if `last` is before `first`."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"--to {self.last} comes before --from {self.first}: swap them")

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"

    def days(self) -> list[date]:
        """Every day of the range, in order."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @property
    def start_second(self) -> int:
        """The first second of the range, since 1970."""
        return first_second(self.first)

    @property
    def end_second(self) -> int:
        """The first second after the range, since 1970."""
        return first_second(self.last + timedelta(days=1))

    def reaching_back(self, days: int) -> DayRange:
        """The range extended by `days` days before it."""
        return DayRange(self.first - timedelta(days=days), self.last)


def first_second(day: date) -> int:
    """Midnight UTC at the start of `day`, in seconds since 1970."""
    return epoch_seconds(datetime.combine(day, time(), tzinfo=UTC))


def parse_day(text: str) -> date:
    """A day written YYYY-MM-DD. Raises `argparse.ArgumentTypeError` for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or text != day.isoformat():
        raise argparse.ArgumentTypeError(f"{text!r} is not a day: write YYYY-MM-DD")
    return day


def add_day_range(parser: argparse.ArgumentParser) -> None:
    """Add the options `--from` and `--to` to `parser`; `day_range` reads them."""
    parser.add_argument("--from", dest="first", type=parse_day, required=True, metavar="DAY", help="first day, UTC")
    parser.add_argument("--to", dest="last", type=parse_day, required=True, metavar="DAY", help="last day, UTC")


def day_range(parser: argparse.ArgumentParser, options: argparse.Namespace) -> DayRange:
    """The range given by the options; exits with a message if `--to` comes before `--from`."""
    try:
        return DayRange(options.first, options.last)
    except ValueError as error:
        parser.error(str(error))

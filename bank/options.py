"""The command-line options that select a feed, the same for every command that reads one."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from bank.feed import Feed, SimulatedFeed
from bank.published import PublishedFeed
from bank.simulator import Simulation


def add_feed_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select a feed to `parser`; `feed_of` reads them."""
    default = Simulation()
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="published payments, as Parquet files or daily pickles"
    )
    parser.add_argument("--customers", type=positive, default=default.customers, metavar="N")
    parser.add_argument("--terminals", type=positive, default=None, metavar="N", help="default: two per customer")
    parser.add_argument("--days", type=positive, default=default.days, metavar="N")
    parser.add_argument("--seed", type=natural, default=default.seed, metavar="N")


def feed_of(options: argparse.Namespace, now: datetime) -> Feed:
    """The selected feed; published payments dated after `now` count as having no usable time."""
    if options.data is not None:
        return PublishedFeed(options.data, now)
    terminals = options.terminals or 2 * options.customers
    return SimulatedFeed(Simulation(options.customers, terminals, options.days, options.seed))


def positive(text: str) -> int:
    """A whole number of at least 1. Raises `argparse.ArgumentTypeError` for anything else."""
    number = natural(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def natural(text: str) -> int:
    """A whole number, 0 or more. Raises `argparse.ArgumentTypeError` for anything else."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)

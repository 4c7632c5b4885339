"""The options that name a feed, alike in every command that reads one."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from bank.feed import Feed, SimulatedFeed
from bank.published import PublishedFeed
from bank.simulator import WorldSize


def add_feed_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options that name a feed; read them back with `feed_of`."""
    default = WorldSize()
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="published payments, as Parquet or daily pickles")
    parser.add_argument("--customers", type=positive, default=default.customers, metavar="N")
    parser.add_argument("--terminals", type=positive, default=None, metavar="N", help="default: two a customer")
    parser.add_argument("--days", type=positive, default=default.days, metavar="N")
    parser.add_argument("--seed", type=natural, default=default.seed, metavar="N")


def feed_of(options: argparse.Namespace, now: datetime) -> Feed:
    """The feed that the options name; `now` is the clock by which published data may lie in the future."""
    if options.data is not None:
        return PublishedFeed(options.data, now)
    terminals = options.terminals or 2 * options.customers
    return SimulatedFeed(WorldSize(options.customers, terminals, options.days, options.seed))


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

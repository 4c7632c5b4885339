"""The command-line options that select a feed, the same for every command that reads one."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from bank.errors import BankError
from bank.feed import Feed, SimulatedFeed
from bank.map_files import find_map, read_map
from bank.mapped.feed import MappedFeed
from bank.mapped.ids import IdKey
from bank.published_feed import PublishedFeed
from bank.settings import read_settings
from bank.simulator import Simulation


def add_feed_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select a feed to `parser`; `feed_of` reads them."""
    default = Simulation()
    parser.add_argument(
        "--data", type=_path, metavar="PATH", help="payments: a folder as published, or with --map any file or folder"
    )
    parser.add_argument("--map", metavar="FILE", help="how to read --data: a TOML file, or the name of an included map")
    parser.add_argument("--customers", type=positive_int, default=default.customers, metavar="N")
    parser.add_argument("--terminals", type=positive_int, default=None, metavar="N", help="default: two per customer")
    parser.add_argument("--days", type=positive_int, default=default.days, metavar="N")
    parser.add_argument("--seed", type=non_negative_int, default=default.seed, metavar="N")


def feed_of(options: argparse.Namespace, now: datetime) -> Feed:
    """The selected feed; published payments dated after `now` count as having no usable time.

    Raises `BankError` for a map that cannot be read, or a missing secret.
    """
    if options.map is not None:
        return mapped_feed(options, now, IdKey(read_settings().secret("bank_id_key").encode()))
    if options.data is not None:
        return PublishedFeed(options.data, now)
    terminals = options.terminals or 2 * options.customers
    return SimulatedFeed(Simulation(options.customers, terminals, options.days, options.seed))


def mapped_feed(options: argparse.Namespace, now: datetime, key: IdKey) -> MappedFeed:
    """The feed of `--data` and `--map`. Raises `BankError`."""
    if options.data is None:
        raise BankError(f"--map {options.map} needs data: give --data, a file of transactions or a folder of them")
    path = find_map(options.map)
    return MappedFeed(options.data, read_map(path), path, now, key)


def _path(text: str) -> Path:
    return Path(text).expanduser()


def positive_int(text: str) -> int:
    """A whole number of at least 1. Raises `argparse.ArgumentTypeError` for anything else."""
    return _int_from(1, text)


def non_negative_int(text: str) -> int:
    """A whole number of at least 0. Raises `argparse.ArgumentTypeError` for anything else."""
    return _int_from(0, text)


def _int_from(least: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more, not {text!r}")
    return int(text)

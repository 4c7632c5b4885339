"""The number that stands for an id of a mapped file: `python -m bank.find_id customer_id`, one id per line.

Ids come from standard input, so that no card number is in the shell's history. The parts of an id of several columns
are separated by tabs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pyarrow as pa

from bank.errors import DataError
from bank.mapped.ids import IdKey, id_texts, numbers_of
from bank.runner import run
from bank.settings import read_settings

KINDS = ("customer_id", "terminal_id", "transaction_id")


def number_of(parts: Sequence[str], kind: str, key: IdKey) -> int:
    """The number that the bank has for an id. Raises `DataError` if it is empty, or has lost digits."""
    texts, problems = id_texts([pa.array([part], pa.string()) for part in parts], kind)
    for problem in problems:
        if problem.rows.any():
            raise DataError(f"{problem.reason}: give the whole id, one per line")
    return int(numbers_of(texts, kind, key).values[0])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.find_id", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    kind, key = parser.parse_args().kind, IdKey(read_settings().secret("bank_id_key").encode())
    for line in sys.stdin:
        print(number_of(line.rstrip("\r\n").split("\t"), kind, key))


if __name__ == "__main__":
    run(main)

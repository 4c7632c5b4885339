"""The number that stands for an id of a mapped file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bank.errors import DataError
from bank.find_id import number_of
from tests.bank.mapped import KEY, ROWS, csv_feed, payments


def test_the_number_of_an_id_can_be_found(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, *ROWS)
    assert number_of(["4613314721966"], "customer_id", KEY) == payments(feed)[0]["customer_id"]
    assert number_of(["7"], "customer_id", KEY) == 7
    several = csv_feed(tmp_path, *ROWS, columns={"customer_id": ["card", "shop"]})
    assert number_of(["7", "shop one"], "customer_id", KEY) == payments(several)[2]["customer_id"]
    with pytest.raises(DataError, match="customer_id: missing: give the whole id"):
        number_of([" "], "customer_id", KEY)


def test_the_command_tells_the_numbers_of_ids(secrets_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bank.find_id", "customer_id"],
        env=os.environ | {"SECRETS_DIR": str(secrets_dir)},
        input="7\n4613314721966\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()
    assert (first, int(second) > 10**9, second != "4613314721966") == ("7", True, True)

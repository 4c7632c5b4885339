"""Ranges of days, both ends included."""

from __future__ import annotations

import argparse
from datetime import date

import pytest

from contracts.days import DayRange, add_day_range, day_range, parse_day


def test_a_range_knows_its_days_and_seconds() -> None:
    days = DayRange(date(2018, 4, 1), date(2018, 4, 2))
    assert days.days() == [date(2018, 4, 1), date(2018, 4, 2)]
    assert (days.start_second, days.end_second) == (1522540800, 1522540800 + 2 * 86_400)
    assert days.reaching_back(1).first == date(2018, 3, 31)
    assert str(days) == "2018-04-01..2018-04-02"


@pytest.mark.parametrize("text", ["2018-4-1", "20180401", "2018-02-30", "yesterday", ""])
def test_an_invalid_day_is_rejected(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="YYYY-MM-DD"):
        parse_day(text)


def test_a_reversed_range_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_day_range(parser)
    options = parser.parse_args(["--from", "2018-04-02", "--to", "2018-04-01"])
    with pytest.raises(SystemExit):
        day_range(parser, options)
    assert "--to 2018-04-01 comes before --from 2018-04-02" in capsys.readouterr().err

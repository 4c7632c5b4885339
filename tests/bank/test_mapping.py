"""A map with a mistake is refused in one line that names the file, the key, the value and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from bank.errors import DataError
from bank.map_files import find_map, read_map

COLUMNS = (
    '[columns]\ntransaction_id = "id"\ncustomer_id = "card"\nterminal_id = "shop"\namount = "amt"\noccurred_at = "t"\n'
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'it has no [columns]: write [columns], and below it transaction_id = "<their column>"'),
        ("[columns]\n", "[columns] lacks amount: write amount = with the name of a column in quotes"),
        (
            COLUMNS.replace("terminal_id", "terminal"),
            "unknown key terminal in [columns] (closest: terminal_id): valid keys are transaction_id,",
        ),
        (COLUMNS + '[colums]\nx = "y"\n', "unknown key colums at the top of the file (closest: columns)"),
        (f'amount = "x"\n{COLUMNS}', "amount is outside any table: move it under [columns]"),
        (COLUMNS + 'zone = "UTC"\n', "[columns] has zone, which belongs below [time]: move it there"),
        (COLUMNS + '[time]\nzone = "America/NewYork"\n', '[time] zone = "America/NewYork" is not a time zone'),
        (COLUMNS + '[time]\nzone = "America/NewYork"\n', "(closest: America/New_York"),
        (COLUMNS + '[time]\nunit = "sec"\n', '[time] unit = "sec" is not valid: write "s", "ms"'),
        (COLUMNS + '[time]\nunit = "s"\nformat = "%Y"\n', "[time] has format and unit: keep format"),
        (COLUMNS + '[time]\norigin = "2019-01-01"\n', "[time] has origin without unit: write unit"),
        (COLUMNS + '[time]\nformat = "%Q"\n', '[time] format = "%Q" is not a time format'),
        (COLUMNS + '[time]\nformat = "yyyy-MM-dd"\n', "has no directive such as %Y: write a format"),
        (COLUMNS + '[time]\nunit = "s"\norigin = "1.1.2019"\n', '[time] origin = "1.1.2019" is not a date or time'),
        (COLUMNS + '[format]\ndelimiter = ";;"\n', '[format] delimiter = ";;" is not valid: write one character'),
        (COLUMNS + '[format]\nencoding = "utf-9"\n', '[format] encoding = "utf-9" is not an encoding: write "utf-8"'),
        (COLUMNS + '[format]\nthousands = "."\n', 'thousands and decimal are both "."'),
        (COLUMNS + 'fraud = "f"\n[values]\nfraud = { "1" = "yes" }\n', "[values] fraud"),
        (COLUMNS + '[values]\nfraud = { "1" = true }\n', "[values] has fraud but [columns] has not: write fraud"),
        (COLUMNS + 'currency = "c"\n', 'and [currency] with home = "EUR"'),
        (COLUMNS.replace('"amt"', "3"), "[columns] amount = 3 is not valid: write the name of a column"),
        (COLUMNS.replace('"amt"', "amt"), "is not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        read_map(path)
    said = str(raised.value)
    assert said.startswith(str(path))
    assert words in said
    assert "\n" not in said.removeprefix(str(path))


def test_a_map_is_found_by_its_path_or_the_name_of_an_included_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_map("sparkov").name == "sparkov.toml"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text(COLUMNS)
    assert read_map(find_map("~/mine.toml")).columns.amount == "amt"
    with pytest.raises(DataError, match=r"there is no map sparkow: .*\(closest: sparkov\); `make check-data"):
        find_map("sparkow")

"""Read a map from its TOML file; every mistake is named with the file, the key, the value and what to write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from bank.errors import DataError, one_line
from bank.mapping import Columns, Currency, DataMap, Format, Time, Values, closest

MAPS: Final = Path(__file__).parent / "maps"
"""The included maps, by the name of the data set."""
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "columns": tuple(Columns.model_fields),
    "format": tuple(Format.model_fields),
    "time": tuple(Time.model_fields),
    "values": tuple(Values.model_fields),
    "currency": tuple(Currency.model_fields),
}
EXAMPLES: Final = {
    "columns": 'the name of a column in quotes, such as "amt"',
    "columns.transaction_id": 'a column in quotes, a list of columns, or "row" where payments have no id',
    "columns.customer_id": 'a column in quotes, or a list of columns such as ["User", "Card"]',
    "columns.terminal_id": 'a column in quotes, or a list of columns such as ["Merchant", "City"]',
    "columns.occurred_at": 'a column in quotes, or a list of columns such as ["Date", "Time"]',
    "format.delimiter": 'one character in quotes, such as ";" or "\\t"',
    "format.decimal": '"." or ","',
    "format.thousands": '"," or "."',
    "format.prefix": 'what stands before amounts, such as "$"',
    "format.header": 'a list of names, such as ["id", "card", "shop", "amount", "time"]',
    "format.missing": 'a list of texts, such as ["NA", "null"]',
    "time.unit": '"s", "ms", "us", "ns", "minute", "hour" or "day"',
    "values.fraud": '{ "Yes" = true, "No" = false, "?" = "unknown" }: texts in quotes, true, false or "unknown"',
    "values.kind": '{ "SALE" = "payment", "CREDIT" = "refund" }: payment, refund or reversal',
    "currency.home": 'the code of a currency, such as "EUR"',
    "currency.rates": "the name of a CSV file with the columns date, currency and rate",
}
TABLES: Final = ("columns", "format", "time", "values", "currency")


def find_map(name: str) -> Path:
    """The file of a map, given by its path or by the name of an included one. Raises `DataError`."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = sorted(one.stem for one in MAPS.glob("*.toml"))
    if name in shipped:
        return MAPS / f"{name}.toml"
    raise DataError(
        f"there is no map {name}: give a TOML file, or an included map ({', '.join(shipped)})"
        f"{closest(name, shipped)}; `make check-data DATA=<file>` writes one"
    )


def read_map(path: Path) -> DataMap:
    """Read a map. Raises `DataError`, naming the file, the key, the value and what to write."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}): save it as text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f'{path} is not valid TOML ({error}): write a line as name = "value", under a line such as [columns]'
        ) from error
    return parse_map(content, path)


def parse_map(content: dict[str, Any], path: Path) -> DataMap:
    """The map in a parsed TOML file. Raises `DataError`."""
    try:
        return DataMap.model_validate(content)
    except ValidationError as error:
        problems = dict.fromkeys(_problem(item["type"], item) for item in error.errors())
        raise DataError(f"{path}: {'; '.join(problems)}") from error


def _problem(kind: str, item: Any) -> str:
    where = [str(part) for part in item["loc"]]
    if kind == "extra_forbidden":
        return _unknown_key(where)
    if kind == "missing":
        return _missing_key(where)
    table = f"[{where[0]}] " if where else ""
    if kind == "value_error":
        key = f"{where[1]} = {_shown(item['input'])} " if len(where) > 1 else ""
        return f"{table}{key}{item['msg'].removeprefix('Value error, ')}"
    example = EXAMPLES.get(".".join(where[:2])) or EXAMPLES.get(where[0], "a table such as [columns]")
    return f"{table}{'.'.join(where[1:2])} = {_shown(item['input'])} is not valid: write {example}"


def _unknown_key(where: list[str]) -> str:
    key = where[-1]
    if len(where) == 1:
        known: tuple[str, ...] = TABLES
        inside = "at the top of the file"
        owner = next((name for name, table in _FIELDS.items() if key in table), None)
        if owner:
            return f"{key} is outside any table: move it under [{owner}]"
    else:
        known, inside = tuple(_FIELDS.get(where[0], ())), f"in [{where[0]}]"
        owner = next((name for name, table in _FIELDS.items() if key in table), None)
        if owner:
            return f"[{where[0]}] has {key}, which belongs below [{owner}]: move it there"
    return f"unknown key {key} {inside}{closest(key, known)}: valid keys are {', '.join(known)}"


def _missing_key(where: list[str]) -> str:
    if where == ["columns"]:
        return "it has no [columns]: write [columns], and below it " + ", ".join(
            f'{name} = "<their column>"' for name in list(Columns.model_fields)[:5]
        )
    table, key = where[0], where[-1]
    example = EXAMPLES.get(f"{table}.{key}") or EXAMPLES[table]
    return f"[{table}] lacks {key}: write {key} = with {example}"


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

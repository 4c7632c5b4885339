from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.features import FEATURES
from spark_jobs.lake.schemas import SORTED_BY, TABLES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
TYPES = {"string": "string", "int64": "bigint", "bool": "boolean", "timestamp[us, UTC]": "timestamp"}


def documented(table: str) -> list[tuple[str, str]]:
    """The columns on the architecture page, with Spark's type names."""
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{table}` |"))
    columns = line.split("`")[3]
    found = re.findall(r"(\w+) (string|int64|bool|timestamp\[us, UTC\])", columns)
    return [(name, TYPES[kind]) for name, kind in found]


@pytest.mark.parametrize("table", ["raw", "clean", "reports", "unknown_labels"])
def test_tables_match_the_architecture_page(table: str) -> None:
    assert [(field.name, field.dataType.simpleString()) for field in TABLES[table]] == documented(table)


def test_quarantine_has_raw_s_columns_and_a_reason() -> None:
    assert TABLES["quarantine"].names == [*TABLES["raw"].names, "reason"]


def test_features_hold_every_feature_in_order() -> None:
    names = ["transaction_id", "customer_id", "terminal_id", "occurred_at", *FEATURES]
    assert TABLES["features"].names == names
    assert {field.dataType.simpleString() for field in TABLES["features"].fields[4:]} == {"double"}


def test_every_table_is_sorted_by_its_own_columns() -> None:
    for table, columns in SORTED_BY.items():
        assert set(columns) <= set(TABLES[table].names)

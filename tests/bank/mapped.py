"""Feeds of small files read by a map that a test writes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from bank.map_files import parse_map
from bank.mapped.feed import MappedFeed
from bank.mapped.ids import IdKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = IdKey(b"a key of the tests")
COLUMNS = {
    "transaction_id": "id",
    "customer_id": "card",
    "terminal_id": "shop",
    "amount": "amount",
    "occurred_at": "time",
}
HEADER = "id,card,shop,amount,time,fraud"
ROWS = [
    "a1,4613314721966,shop one,12.50,2024-01-01 10:00:00,0",
    "a2,4613314721966,shop two,3.10,2024-01-02 11:00:00,1",
    "a3,7,shop one,0.00,2024-01-03 12:00:00,0",
]


def feed_of(data: Path, columns: dict[str, Any] | None = None, **tables: dict[str, Any]) -> MappedFeed:
    """A feed of `data`, whose columns are called as in `HEADER` where `columns` does not say otherwise."""
    content = {"columns": COLUMNS | {"fraud": "fraud"} | (columns or {}), **tables}
    content["columns"] = {name: value for name, value in content["columns"].items() if value is not None}
    return MappedFeed(data, parse_map(content, Path("my.toml")), data.parent / "my.toml", NOW, KEY)


def csv_feed(folder: Path, *lines: str, header: str = HEADER, columns: Any = None, **tables: Any) -> MappedFeed:
    """A feed of a CSV file with these lines."""
    path = folder / "payments.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return feed_of(path, columns, **tables)


def payments(feed: MappedFeed) -> list[dict[str, Any]]:
    """The payments of a feed as rows."""
    return pa.concat_tables([batch.rows for batch in feed.batches()]).to_pylist()


def refunds(feed: MappedFeed) -> list[dict[str, Any]]:
    """The refunds of a feed as rows."""
    return [row for batch in feed.batches() if batch.refunds is not None for row in batch.refunds.to_pylist()]

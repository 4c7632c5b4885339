"""Columns that one task computes and another writes: blocks in files of the staging folder, not in Spark's shuffle.

A wide row in the shuffle goes from Python to the JVM, is sorted, compressed and sent back; here Arrow columns stay
Arrow columns. A task writes one file with a block for each group of days and part of its rows; the task that writes a
group reads its blocks from all files. Files of failed attempts have names of their own, which the driver never learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType

from contracts.days import first_second
from spark_jobs.lake.schemas import arrow_schema

Ints = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]

ORDER: Final = ("occurred", "transaction_id")
"""Columns of every block, which is sorted by them. They tell any two payments of the lake apart."""
BLOCKS: Final = StructType(
    [
        StructField("entity", StringType()),
        StructField("path", StringType()),
        StructField("groups", ArrayType(LongType())),
    ]
)
"""A task's record of its file: whose features it has, and the group of each block."""
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class BlockFile:
    """A file of blocks, and the group of each block."""

    path: str
    groups: Sequence[int]


@dataclass(frozen=True)
class DayGroups:
    """The group of each day: days in order, the same group for consecutive ones."""

    starts: tuple[int, ...]
    """The first second of each group, since 1970."""

    @classmethod
    def of(cls, groups: Sequence[Sequence[date]]) -> DayGroups:
        """Groups of days, in order, as `split_days` makes them."""
        return cls(tuple(first_second(group[0]) for group in groups))

    def of_seconds(self, occurred: Ints) -> Ints:
        """The group of each second, none of which is before the first group."""
        return np.searchsorted(np.array(self.starts), occurred, side="right") - 1


def write_blocks(
    parts: Iterable[pa.RecordBatch], folder: str, entity: str, groups: DayGroups
) -> Iterator[pa.RecordBatch]:
    """In a task: write parts of its rows, which have the columns `ORDER`, to a file; yields a `BLOCKS` record.

    Parts are written one by one, so only one is in memory.
    """
    path, written = Path(folder) / f"blocks-{uuid4().hex}.arrow", list[int]()
    writer = None
    for part in parts:
        if writer is None:
            writer = pa.ipc.new_file(str(path), part.schema, options=_LZ4)
        ordered = part.take(pa.array(_order(part)))
        number = groups.of_seconds(ordered["occurred"].to_numpy())
        for start, end in runs(number):
            writer.write_batch(ordered.slice(start, end - start))
            written.append(int(number[start]))
    if writer is not None:
        writer.close()
        record = {"entity": entity, "path": str(path), "groups": written}
        yield pa.RecordBatch.from_pylist([record], schema=arrow_schema(BLOCKS))


def read_group(files: Sequence[BlockFile], group: int, rows_at_once: int) -> Iterator[Arrays]:
    """A group's rows from all files, sorted by `ORDER`, in parts of at most `rows_at_once` rows."""
    blocks = [(file.path, n) for file in files for n in np.flatnonzero(np.asarray(file.groups) == group).tolist()]
    ranks = _ranks([_read(*block, columns=ORDER) for block in blocks])
    total = sum(map(len, ranks))
    for start in range(0, total, rows_at_once):
        yield _gather(blocks, ranks, start, min(start + rows_at_once, total))


def runs(values: Ints) -> list[tuple[int, int]]:
    """The start and end of each run of equal values."""
    if not len(values):
        return []
    bounds = (np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    return list(zip([0, *bounds], [*bounds, len(values)], strict=True))


def _order(rows: pa.RecordBatch | Mapping[str, Any]) -> Ints:
    return np.lexsort((np.asarray(rows["transaction_id"]), np.asarray(rows["occurred"])))


def _ranks(keys: Sequence[pa.RecordBatch]) -> list[Ints]:
    """For each block, the places of its rows in the order of all blocks' rows."""
    whole = {name: np.concatenate([key[name].to_numpy() for key in keys]) for name in ORDER} if keys else {}
    order = _order(whole) if whole else np.empty(0, dtype=np.int64)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return np.split(ranks, np.cumsum([key.num_rows for key in keys])[:-1]) if keys else []


def _gather(blocks: Sequence[tuple[str, int]], ranks: Sequence[Ints], start: int, end: int) -> Arrays:
    """The rows with ranks from `start` to before `end`."""
    found: Arrays = {}
    for (path, number), rank in zip(blocks, ranks, strict=True):
        low, high = np.searchsorted(rank, (start, end))
        if low == high:
            continue
        block = _read(path, number)
        for name in block.schema.names:
            values = block[name].to_numpy()
            found.setdefault(name, np.empty(end - start, dtype=values.dtype))[rank[low:high] - start] = values[low:high]
    return found


def _read(path: str, number: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
    with pa.OSFile(path) as file:
        fields = None
        if columns is not None:
            names = pa.ipc.open_file(file).schema.names
            fields = [names.index(name) for name in columns]
        return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields)).get_batch(number)

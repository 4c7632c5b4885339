"""The lake's tables as Spark schemas, derived from the contract: each kind of field maps to one type per layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from contracts.features import FEATURES
from contracts.transaction import ANALYSIS_FIELDS, REPORT_FIELDS, TRANSACTION_FIELDS, FieldSpec, Kind

AS_LANDED: Final[Mapping[Kind, DataType]] = {
    "id": LongType(),
    "amount": StringType(),
    "instant": LongType(),
    "code": LongType(),
}
AS_TYPED: Final[Mapping[Kind, DataType]] = {
    "id": LongType(),
    "amount": LongType(),
    "instant": TimestampType(),
    "code": LongType(),
}
REPORTED: Final = (*REPORT_FIELDS, *ANALYSIS_FIELDS)
_CLEAN_NAMES: Final = {"amount": "amount_cents"}


def _typed(spec: FieldSpec) -> StructField:
    return StructField(_CLEAN_NAMES.get(spec.name, spec.name), AS_TYPED[spec.kind])


SOURCE_KEY: Final = [StructField("source", StringType()), StructField("source_row", LongType())]
RAW: Final = StructType(
    [
        *SOURCE_KEY,
        *(StructField(spec.name, AS_LANDED[spec.kind]) for spec in TRANSACTION_FIELDS),
        StructField("occurred_micros", BooleanType()),
        StructField("arrived_at", LongType()),
    ]
)
CLEAN: Final = StructType([*map(_typed, TRANSACTION_FIELDS), StructField("arrived_at", TimestampType())])
QUARANTINE: Final = StructType([*RAW.fields, StructField("reason", StringType())])
REPORTS_LANDED: Final = StructType([StructField(spec.name, AS_LANDED[spec.kind]) for spec in REPORTED])
REPORTS: Final = StructType([*map(_typed, REPORTED)])
UNKNOWN_LABELS: Final = StructType([StructField("transaction_id", LongType())])
FEATURE_ROWS: Final = StructType(
    [
        *(_typed(spec) for spec in TRANSACTION_FIELDS if spec.kind != "amount"),
        *(StructField(name, DoubleType()) for name in FEATURES),
    ]
)
TABLES: Final = {
    "raw": RAW,
    "clean": CLEAN,
    "quarantine": QUARANTINE,
    "reports": REPORTS,
    "unknown_labels": UNKNOWN_LABELS,
    "features": FEATURE_ROWS,
}
SORTED_BY: Final = {
    "raw": ("source", "source_row"),
    "clean": ("occurred_at", "transaction_id"),
    "quarantine": ("source", "source_row"),
    "reports": ("transaction_id", "reported_at", "pattern"),
    "unknown_labels": ("transaction_id",),
    "features": ("occurred_at", "transaction_id"),
}
"""The sort order of each table's rows within a day, so that the same rows give identical files."""

DAY_COLUMN: Final = StructField("day", DateType())
STAGED: Final = StructType(
    [
        StructField("table", StringType()),
        DAY_COLUMN,
        StructField("rows", LongType()),
        StructField("path", StringType()),
        StructField("counts", MapType(StringType(), LongType())),
    ]
)
"""A task's record of each staged file; `counts` are specific to the job, such as rows by reason."""


def with_day(schema: StructType) -> StructType:
    """`schema` with the partition column `day`."""
    return StructType([*schema.fields, DAY_COLUMN])


def arrow_schema(schema: StructType) -> pa.Schema:
    """`schema` in Arrow; instants in microseconds, UTC."""
    return to_arrow_schema(schema, timezone="UTC")

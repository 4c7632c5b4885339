"""The zone that days of features were built for, as their files say it."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.days import DayRange
from contracts.zones import REBUILD_ALL, ZoneId
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import Lake


def zone_of_day(lake: Lake, day: date) -> ZoneId:
    """The zone of one day of features. Raises `JobError` for a damaged file."""
    path = lake.file("features", day)
    try:
        found = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise JobError(f"{path} cannot be read as Parquet ({error}): remove it and run build_features again") from None
    return ZoneId.read({name.decode(): value.decode() for name, value in found.items()})


def note_on_other_zones(lake: Lake, days: DayRange, zone: ZoneId) -> str:
    """What to do if the days next to these were built for another zone, else empty; training rejects such a mixture."""
    built = lake.days("features")
    nearest = [*(day for day in built if day < days.first)][-1:] + [*(day for day in built if day > days.last)][:1]
    for day in nearest:
        if (found := zone_of_day(lake, day)) != zone:
            theirs, ours = found.versus(zone)
            return f"the features of {day} are for the zone {theirs}, those of {days} for {ours}: {REBUILD_ALL}"
    return ""

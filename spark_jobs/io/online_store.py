"""Commands of the online state: merge histories, index payments by day, write the stamp, forget a customer.

Independent of Spark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import valkey
from valkey.exceptions import AuthenticationError, ValkeyError

from contracts.online_state import (
    DAYS_KEY,
    ENTRY,
    ERASE_LUA,
    FLOOR_BYTES,
    FORMAT,
    MERGE_LUA,
    META_KEY,
    READABLE_FORMATS,
    Stamp,
    customer_key,
    index_key,
    late_key,
    pack_positions,
    terminal_key,
)
from contracts.transaction import from_epoch_seconds
from contracts.zones import NAME_FIELD, RULES_FIELD, ZoneId
from spark_jobs.errors import JobError
from spark_jobs.settings import VALKEY_SECRET, read_secret

T = TypeVar("T")
Client = Any
"""A `valkey.Valkey` or a pipeline; untyped because the package types every answer as possibly awaitable."""

_LUA: Final = files("spark_jobs.io").joinpath("lua")
MERGE_SCRIPT: Final = MERGE_LUA + _LUA.joinpath("merge_history.lua").read_text("utf-8")
STAMP_SCRIPT: Final = _LUA.joinpath("stamp.lua").read_text("utf-8")
PIPELINE: Final = 200
"""Commands in one pipeline; the scorer's commands may have to wait for that many."""
TIMEOUT_SECONDS: Final = 30


@contextmanager
def open_state(url: str, secrets_dir: str | Path) -> Iterator[Client]:
    """A connection to the online state at `url`. Raises `JobError` if connection, password or a command fails."""
    password = read_secret(secrets_dir, VALKEY_SECRET)
    client: Client = valkey.Valkey.from_url(url, password=password, socket_timeout=TIMEOUT_SECONDS)
    try:
        client.ping()
        yield client
    except AuthenticationError as error:
        raise JobError(f"Valkey at {url} rejects the password ({error}): check the secret {VALKEY_SECRET}") from None
    except (ValkeyError, OSError) as error:
        raise JobError(
            f"Valkey at {url} failed ({error}): check VALKEY_URL and that Valkey is running, then run again"
        ) from None
    finally:
        client.close()


def merge_histories(client: Client, histories: Iterable[tuple[str, bytes]], floor: bytes, keep: int) -> int:
    """Merge packed entries into the history at each key; returns the number of histories.

    `floor` is packed, `keep` in seconds.
    """
    sha = client.script_load(MERGE_SCRIPT)

    def merge(pipe: Client, one: tuple[str, bytes]) -> None:
        pipe.evalsha(sha, 1, one[0], floor, one[1], keep)

    return sum(_send(client, chunk, merge) for chunk in _chunks(histories))


def index_payments(client: Client, day: str, locations: Iterable[tuple[bytes, bytes]]) -> int:
    """Add payments (packed id, packed location) to the index of one day; returns how many were new."""
    # The day is registered before its index exists, so that an index left by a killed run is found and removed later.
    client.sadd(DAYS_KEY, day)
    return sum(int(client.hset(index_key(day), mapping=dict(chunk))) for chunk in _chunks(locations))


def drop_index_before(client: Client, first: date) -> None:
    """Remove the index of every day before `first`."""
    for name in sorted(member.decode() for member in client.smembers(DAYS_KEY)):
        if name < first.isoformat():
            # Delete the index first: a day without index is harmless, an index without its day would never be removed.
            client.unlink(index_key(name))
            client.srem(DAYS_KEY, name)


def written_to(client: Client) -> date | None:
    """The last day that the state was written for, None if it is empty. Raises `JobError` for another format."""
    meta = {name.decode(): value.decode() for name, value in client.hgetall(META_KEY).items()}
    if not meta:
        return None
    if meta.get("state_format") not in READABLE_FORMATS:
        raise JobError(
            f"the online state has format {meta.get('state_format')}, but this code writes {FORMAT}: "
            "empty that database (docs/operations.md#scorerdegraded), then run again"
        )
    return date.fromisoformat(meta["written_to"])


def zone_of_state(client: Client) -> ZoneId | None:
    """The zone in the stamp; None if the state is empty."""
    name, rules, written = client.hmget(META_KEY, NAME_FIELD, RULES_FIELD, "written_to")
    found = {NAME_FIELD: name, RULES_FIELD: rules}
    return ZoneId.read({field: value.decode() for field, value in found.items() if value}) if written else None


def stamp(client: Client, last: date, zone: ZoneId) -> None:
    """Write the stamp; `written_to` never moves back."""
    fields = Stamp(written_to=last.isoformat(), zone=zone).fields()
    client.eval(STAMP_SCRIPT, 1, META_KEY, *(part for field in fields.items() for part in field))


def erase_history(client: Client, customer_id: int) -> dict[str, int]:
    """Remove a customer's history; how many entries it had."""
    key = customer_key(customer_id)
    history, late = client.mget(key, late_key(key))
    client.delete(key, late_key(key))
    return {"history_entries": (len((history or b"")[FLOOR_BYTES:]) + len(late or b"")) // ENTRY.itemsize}


def erase_payments(client: Client, payments: Iterable[tuple[int, int, int]]) -> dict[str, int]:
    """Remove payments (id, terminal, second) from terminals' histories and from the index; how many were there."""
    by_terminal: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    by_day: defaultdict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for number, terminal, second in sorted(payments):
        by_terminal[terminal].append((second, number))
        place = terminal.to_bytes(8, "big") + second.to_bytes(8, "big")
        by_day[index_key(from_epoch_seconds(second).date().isoformat())].append((number.to_bytes(8, "big"), place))
    erased = 0
    for terminal, positions in by_terminal.items():
        key = terminal_key(terminal)
        erased += client.eval(ERASE_LUA, 2, key, late_key(key), pack_positions(positions))
    return {"terminal_entries": erased, "index_entries": sum(_drop_from(client, *one) for one in by_day.items())}


def _drop_from(client: Client, index: str, payments: Sequence[tuple[bytes, bytes]]) -> int:
    """Remove payments (packed id and packed terminal and second) from a day's index, where they are the ones meant."""
    located = client.hmget(index, [number for number, _ in payments])
    gone = [number for (number, place), found in zip(payments, located, strict=True) if (found or b"")[:16] == place]
    return int(client.hdel(index, *gone)) if gone else 0


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while chunk := list(islice(left, PIPELINE)):
        yield chunk


def _send(client: Client, chunk: list[T], command: Callable[[Client, T], object]) -> int:
    pipe = client.pipeline(transaction=False)
    for one in chunk:
        command(pipe, one)
    pipe.execute()
    return len(chunk)

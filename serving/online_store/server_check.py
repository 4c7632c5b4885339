"""Whether a Valkey server can hold the online state, from its answer to INFO: no permission for CONFIG is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

Info = Mapping[str, Any]
"""The answer to INFO, with numbers as numbers."""
KEEPS: Final = "noeviction"
OLDEST: Final = (6, 2)
"""XAUTOCLAIM is younger than everything else that is used."""
OTHERS: Final[Mapping[str, str]] = {
    "dragonfly_version": "Dragonfly", "kvrocks_version": "Kvrocks", "garnet_version": "Garnet",
}  # fmt: skip
"""Products with Valkey's protocol whose scripts differ, by what they add to INFO."""


def refusal(info: Info) -> str:
    """Why the server must not hold the online state, and the remedy; empty if it may."""
    return _product(info) or _topology(info) or _eviction(info) or _disk(info)


def evicted(info: Info) -> str:
    """What a server with the right policy has dropped before, and the remedy; empty if nothing."""
    dropped = int(info.get("evicted_keys", 0))
    if not dropped or refusal(info):
        return ""
    return (
        f"Valkey has dropped {dropped:,} keys since it started, so histories may be incomplete: write the online state "
        "again (docs/operations.md#storesettings), then run `CONFIG RESETSTAT`"
    )


def volatile(info: Info) -> str:
    """A warning, with the remedy, if the server loses its data on restart; empty otherwise."""
    if int(info.get("aof_enabled", 1)):
        return ""
    return "Valkey has no append-only file, so a restart loses the online state: set `appendonly yes`"


def _product(info: Info) -> str:
    for mark, name in OTHERS.items():
        if mark in info:
            return f"this server is {name}, whose scripts differ: use Valkey"
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers and numbers < OLDEST:
        return f"the server's version {version} is too old: use Valkey, or Redis {'.'.join(map(str, OLDEST))} or later"
    return ""


def _topology(info: Info) -> str:
    mode = str(info.get("server_mode", info.get("redis_mode", "standalone")))
    if mode != "standalone" or int(info.get("cluster_enabled", 0)):
        return f"Valkey runs in {mode} mode: use a standalone server, since a payment's keys are in several slots"
    if info.get("role") in ("slave", "replica"):
        return "Valkey is a replica, which takes no writes: set VALKEY_URL to the primary"
    return ""


def _eviction(info: Info) -> str:
    policy = str(info.get("maxmemory_policy", KEEPS))
    if policy == KEEPS or not int(info.get("maxmemory", 0)):
        return ""
    dropped = int(info.get("evicted_keys", 0))
    already = f", and has dropped {dropped:,} already" if dropped else ""
    return (
        f"Valkey drops keys when its memory is full (maxmemory-policy {policy}){already}: run "
        f"`CONFIG SET maxmemory-policy {KEEPS}`, and set it in the server's configuration"
    )


def _disk(info: Info) -> str:
    if int(info.get("aof_enabled", 0)) and info.get("aof_last_write_status", "ok") != "ok":
        return "Valkey cannot write its append-only file, so it rejects writes: free up disk space"
    return ""

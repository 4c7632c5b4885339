"""Read ahead: the next batch is converted while the database stores this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, each next one computed in a thread; errors are raised in their place."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(next, iterator, None)
        while (item := waiting.result()) is not None:
            waiting = thread.submit(next, iterator, None)
            yield item

"""Run pieces of work at the same time, each with one OpenMP thread.

A fit of small trees, or a prediction of a few thousand payments, uses a second OpenMP thread badly: on two cores, two
pieces with one thread each finish sooner than one after the other with two (docs/decisions/0010-training-threads.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def run_together(pieces: Sequence[Callable[[], T]]) -> list[T]:
    """Call functions at the same time, at most one a core, each with one OpenMP thread; returns their results in order.

    Raises what a function raises.
    """
    from joblib import Parallel, delayed

    def alone(piece: Callable[[], T]) -> T:
        with one_openmp_thread():
            return piece()

    with threads():
        results: list[T] = Parallel(n_jobs=min(len(pieces), cores()))(delayed(alone)(piece) for piece in pieces)
    return results


@contextmanager
def threads() -> Iterator[None]:
    """Have joblib, and scikit-learn with `n_jobs`, use threads: new processes would import scikit-learn again."""
    from joblib import parallel_config

    with parallel_config(backend="threading"):
        yield


@contextmanager
def one_openmp_thread() -> Iterator[None]:
    """Limit OpenMP to one thread in the calling thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"):
        yield


def cores() -> int:
    """How many cores this process may use, even in a container."""
    from joblib import cpu_count

    return int(cpu_count())

"""The kernel's functions as Numba compiles them: their types, and where the compiled code is kept.

Only `contracts/compiled.py` imports this: it takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from numba import njit, types
from numba.core import config as numba_config
from numba.core.caching import UserProvidedCacheLocator
from numba.core.registry import cpu_target

from contracts import kernel

config: Any = numba_config
"""Its settings are made when it is imported."""
_INTS: Final = types.Array(types.int64, 1, "C", readonly=True)
_ROWS: Final = types.Array(types.int64, 2, "C", readonly=True)
_WORDS: Final = types.Array(types.uint64, 1, "C", readonly=True)
_OUT: Final = types.Array(types.float64, 2, "C")
SIGNATURES: Final[dict[Callable[..., Any], tuple[Any, ...]]] = {
    kernel.check: (_INTS, _INTS, _INTS),
    kernel.payment_into: (_INTS, _INTS, _INTS, _INTS, _OUT),
    kernel.customer_into: (_INTS, _INTS, _INTS, _INTS, _OUT, _OUT),
    kernel.terminal_into: (_INTS, _INTS, _INTS, _INTS, _INTS, _OUT, _OUT),
    kernel.online: (_WORDS, _INTS, _ROWS, _INTS, _INTS),
}


class FolderLocator(UserProvidedCacheLocator):
    """Numba's cache in one folder, which need not be writable to be read."""

    def get_cache_path(self) -> str:
        """The folder that `cached_in` was given."""
        return str(config.CACHE_DIR)

    def ensure_cache_path(self) -> None:
        """The process that compiles has made the folder."""


@contextmanager
def cached_in(folder: Path) -> Iterator[None]:
    """Keep the code of functions that are compiled within in `folder`; Numba has a setting for it, not an argument."""
    before = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES
    config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = str(folder), f"{__name__}.{FolderLocator.__name__}"
    try:
        yield
    finally:
        config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = before


def compiled(folder: Path | None) -> tuple[dict[str, Any], int]:
    """The compiled functions by name, from `folder` where they are there; and how many had to be compiled."""
    if folder is None:
        return _compiled(cache=False)
    with cached_in(folder):
        return _compiled(cache=True)


def _compiled(cache: bool) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    misses = 0
    for function, arguments in SIGNATURES.items():
        # What is compiled is called as it is, not compiled again within its caller.
        same = FunctionType(function.__code__, vars(kernel) | found, function.__name__)
        # NumPy's error model has no check for a division by zero; without the GIL, threads run at the same time.
        made = njit(cache=cache, nogil=True, error_model="numpy")(same)
        made.compile(arguments)
        # Another type is an error from now on: nothing is compiled while requests are answered.
        made.disable_compile()
        found[function.__name__] = made
        misses += sum(made.stats.cache_misses.values())
    return found, misses


def processor() -> str:
    """The processor that code is compiled for: the machine's, or what NUMBA_CPU_NAME says."""
    return " ".join(cpu_target.target_context.codegen().magic_tuple())

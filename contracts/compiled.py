"""Compile the kernel, or load it compiled: `python -m contracts.compiled` after an installation.

Compiled code is kept in a folder whose name has a digest of the kernel's source, of the versions of Python, Numba and
NumPy, and of the processor, so that what another one compiled is not used. A process that finds none compiles it,
alone, while others wait for it. Numba is imported by the first call, not by the import of this module.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import stat
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from contracts.durable import flush_tree

SOURCE: Final = Path(__file__).with_name("kernel.py")
TYPES: Final = Path(__file__).with_name("kernel_functions.py")
INSTALLED: Final = Path(__file__).resolve().parents[1] / "var/cache/kernel"
"""Where an installation, or the build of an image, keeps the compiled kernel."""
UNSORTED: Final = 1
OUTSIDE: Final = 2
"""What `Kernel.check` returns for a history that is not sorted, and for rows outside of it; else 0."""
_COMPLETE: Final = "complete"
"""The file that is written once all functions are compiled; it lists theirs."""
_REMEDY: Final = "run `make install`, or use the environment `pipeline` or `serving`"
_loading: Final = threading.Lock()
_loaded: Kernel | None = None


class KernelError(RuntimeError):
    """The kernel cannot run here; the message says why, and what to do."""


@dataclass(frozen=True)
class Kernel:
    """The compiled functions of `contracts/kernel.py`; arguments of other types are a TypeError.

    `seconds` is how long this process compiled, 0 if it did not; `folder` has the compiled code, if it could be kept.
    """

    check: Callable[..., int]
    payment_into: Callable[..., None]
    customer_into: Callable[..., None]
    terminal_into: Callable[..., None]
    online: Callable[..., Any]
    folder: Path | None
    seconds: float


def load() -> Kernel:
    """The compiled kernel; the first call loads it, or compiles it if no other process has. Raises `KernelError`."""
    global _loaded  # noqa: PLW0603 - one a process
    if _loaded is None:
        with _loading:
            if _loaded is None:
                _loaded = load_from(INSTALLED)
    return _loaded


def load_from(installed: Path) -> Kernel:
    """The kernel from the folder of the installation, or of this user, else compiled into the first that it can write.

    Raises `KernelError`.
    """
    check_platform()
    name = f"kernel-{_digest()}"
    if found := _complete(installed / name):
        return found
    for place in (installed, _private()):
        try:
            with _alone(place):
                return _complete(place / name) or _made(place / name)
        except OSError:
            continue
    # Nowhere to keep it: for this process alone.
    return _compile(None)


def check_platform(bits: int = struct.calcsize("P") * 8, order: str = sys.byteorder) -> None:
    """Raises `KernelError` where the kernel cannot run. It does not import Numba, which takes half a second."""
    here = f"{platform.machine()}, {sys.executable}"
    if bits != 64:
        raise KernelError(f"the feature kernel needs a 64-bit Python, this one has {bits} bits ({here}): use another")
    if order != "little":
        raise KernelError(f"the feature kernel needs a little-endian processor ({here}): use x86-64 or ARM64")
    missing = [name for name in ("numba", "llvmlite", "numpy") if find_spec(name) is None]
    if missing:
        raise KernelError(f"the feature kernel needs {' and '.join(missing)} ({here}): {_REMEDY}")


def _complete(folder: Path) -> Kernel | None:
    """The kernel from a folder; None if it is not all there, damaged, or could have been written by another user."""
    marker = folder / _COMPLETE
    if not marker.is_file() or not (_trusted(folder.parent) and _trusted(folder)):
        return None
    if marker.read_text("utf-8") != _listing(folder):
        return None
    try:
        functions, misses = _numba().compiled(folder)
    except Exception:
        # A damaged pickle can raise anything; what is there is replaced.
        return None
    return None if misses else Kernel(**functions, folder=folder, seconds=0.0)


def _made(folder: Path) -> Kernel:
    """The kernel compiled into a folder; the caller has the lock."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kernel = _compile(folder)
    flush_tree(folder)
    (folder / _COMPLETE).write_text(_listing(folder), "utf-8")
    return kernel


def _listing(folder: Path) -> str:
    """The names and sizes of a folder's compiled files."""
    files = sorted(folder.glob("*.nb[ci]"))
    return "\n".join(f"{file.name} {file.stat().st_size}" for file in files)


def _compile(folder: Path | None) -> Kernel:
    start = time.monotonic()
    functions, _ = _numba().compiled(folder)
    return Kernel(**functions, folder=folder, seconds=time.monotonic() - start)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Wait until no other process compiles here. Raises OSError if the place cannot be written."""
    place.mkdir(parents=True, exist_ok=True)
    if not _trusted(place):
        raise PermissionError(f"{place} can be written by other users")
    with (place / "lock").open("a") as lock:
        # Released when the process ends, however it does.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _private() -> Path:
    """A folder of this user's for an installation that it cannot write, as in a container with a read-only root."""
    return Path(tempfile.gettempdir()) / f"fraud-relay-kernel-{os.geteuid()}"


def _trusted(folder: Path) -> bool:
    """Whether only root, this user and its group can have written a folder: it has code."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (0, os.geteuid()) and not found.st_mode & stat.S_IWOTH


def _digest() -> str:
    """What the compiled code depends on."""
    versions = [f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy")]
    parts = [sys.version, *versions, _numba().processor(), SOURCE.read_text("utf-8"), TYPES.read_text("utf-8")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _numba() -> ModuleType:
    """`contracts/kernel_functions.py`, imported when it is needed. Raises `KernelError`."""
    try:
        from contracts import kernel_functions
    except (ImportError, OSError) as error:
        raise KernelError(f"the feature kernel cannot load Numba ({error}): {_REMEDY}") from error
    return kernel_functions


def main() -> int:
    """The command: compile the kernel unless it is there, and say so."""
    try:
        kernel = load_from(INSTALLED)
    except KernelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if kernel.folder is None or kernel.folder.parent != INSTALLED:
        print(f"error: cannot write {INSTALLED}: make it writable, for compiled code is kept there", file=sys.stderr)
        return 1
    done = f"compiled in {kernel.seconds:.1f} s" if kernel.seconds else "was already compiled"
    print(f"feature kernel: {done} ({kernel.folder.name})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

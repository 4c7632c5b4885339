"""Load the compiled feature kernel before the first request."""

from __future__ import annotations

import logging

from contracts.compiled import load
from serving.observability.logging import event


def prepare_kernel() -> None:
    """Load the kernel; if no installation has compiled it, compile it, which takes seconds, and log that.

    Raises `KernelError` where it cannot run.
    """
    kernel = load()
    if kernel.seconds:
        # Without a folder every start compiles.
        level = logging.INFO if kernel.folder else logging.WARNING
        event("kernel compiled", level, seconds=round(kernel.seconds, 1), kept_in=str(kernel.folder or ""))

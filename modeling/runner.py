"""What the commands share: one line for a person where something fails."""

from __future__ import annotations

import sys
from collections.abc import Callable

from contracts.bundle import BundleError
from modeling.errors import ModelingError


def run(main: Callable[[], None]) -> None:
    """Run a command; what a person can mend ends it with one line on standard error and exit code 1."""
    try:
        main()
    except (ModelingError, BundleError) as error:
        sys.exit(f"error: {error}")

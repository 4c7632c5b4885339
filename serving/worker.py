"""One of several worker processes, started and restarted by uvicorn's supervisor."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

from fastapi import FastAPI

from serving.app import create_app
from serving.observability.logging import configure_logging
from serving.settings import read_settings

_ON_DEATH_OF_PARENT: Final = 1


def create() -> FastAPI:
    """The application of one worker; its supervisor has validated the settings."""
    if sys.platform == "linux":
        # Workers of a supervisor that was killed must not keep its port.
        ctypes.CDLL(None).prctl(_ON_DEATH_OF_PARENT, signal.SIGTERM)
    settings = read_settings()
    configure_logging(settings.scorer_access_log)
    return create_app(settings)

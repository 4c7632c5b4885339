"""One of several processes that serve together: what uvicorn's supervisor starts, and starts again when it dies."""

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
    """The application of one worker, with the settings that its supervisor has seen to be right."""
    if sys.platform == "linux":
        # A supervisor that was killed must not leave workers that hold its port.
        ctypes.CDLL(None).prctl(_ON_DEATH_OF_PARENT, signal.SIGTERM)
    settings = read_settings()
    configure_logging(settings.scorer_access_log)
    return create_app(settings)

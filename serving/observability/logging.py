"""One line of JSON for each event, on standard error."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

from contracts.addresses import redact

REQUEST: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""The id of the current request."""
LOGGER: Final = logging.getLogger("serving")
CONNECTION_LOGGER: Final = "uvicorn.error.connection"
"""The name of the logger for what uvicorn logs of a connection."""
_FIELDS: Final = "fields"


def event(name: str, level: int = logging.INFO, exc_info: bool = False, **fields: object) -> None:
    """Log one event. Fields hold ids and reasons, never secrets or customer data."""
    LOGGER.log(level, name, extra={_FIELDS: fields}, exc_info=exc_info)


class JsonLines(logging.Formatter):
    """Renders a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, event and fields, without credentials of addresses."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **({"request_id": request} if (request := REQUEST.get()) else {}),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        shown = {name: redact(value) if isinstance(value, str) else value for name, value in line.items()}
        return json.dumps(shown, default=lambda value: redact(str(value)))


def configure_logging(access_log: bool = False) -> None:
    """Format every logger's lines with `JsonLines`; uvicorn's access log only if `access_log` is set."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO if access_log else logging.WARNING)
    # These log every attempt; the scorer logs each problem once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Its warnings are about what anybody may send, as often as they like; rejections are logged by their number.
    logging.getLogger(CONNECTION_LOGGER).setLevel(logging.ERROR)

"""Watch the settings of the Valkey server, and say what puts the online state at risk."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger
from serving.online_store.server_check import Info, evicted, refusal, volatile

SECONDS: Final = 2.0


class ServerWatch:
    """Asks the server every `SECONDS`. What it rejects, `ValkeyOnlineStore.incompatible` rejects too."""

    def __init__(self, client: Valkey, metrics: Metrics) -> None:
        self.problem = ""
        """What is at risk although the server is used, empty if nothing; part of `/readyz`."""
        self.note = ""
        """What a restart of the server would lose, empty if nothing."""
        self._client = client
        self._metrics = metrics
        name = "online store at risk"
        self._risk = TransitionLogger(name, name, "online store no longer at risk")
        self._persistence = TransitionLogger("online store is not persistent", recovered="online store is persistent")

    async def run(self) -> None:
        """Watch until cancelled; a server that does not answer is the circuit breaker's matter."""
        while True:
            try:
                self.update(await self._client.info())
            except (ValkeyError, OSError):
                # Not lost: the breaker and `/readyz` say that it does not answer.
                pass
            except Exception:
                # An unexpected error is logged with its trace and retried.
                event("watch of the online store failed", logging.ERROR, exc_info=True)
            await asyncio.sleep(SECONDS)

    def update(self, info: Info) -> None:
        """Take the server's answer to INFO."""
        self.problem, self.note = evicted(info), volatile(info)
        risk = refusal(info) or self.problem
        self._risk.update(risk)
        self._persistence.update(self.note)
        self._metrics.store_settings.set(bool(risk))

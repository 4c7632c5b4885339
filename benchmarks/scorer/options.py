"""How much is measured."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """Each from the environment, where make puts its variables."""

    rounds: int = field(default_factory=lambda: int(os.environ.get("ROUNDS") or 5))
    seconds: float = field(default_factory=lambda: float(os.environ.get("SECONDS_EACH") or 4))
    warm_up: float = 1.0
    clients: tuple[int, ...] = (1, 16)

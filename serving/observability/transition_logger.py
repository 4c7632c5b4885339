"""Log a problem when it begins, changes or ends, not on every attempt."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from serving.observability.logging import event


@dataclass
class TransitionLogger:
    """Remembers the current problem and logs its transitions; an event with an empty name is not logged.

    `failed` is logged when a problem begins, `changed` when its reason changes, `recovered` when it ends.
    """

    failed: str
    changed: str = ""
    recovered: str = ""
    problem: str = ""
    """The reason for the current problem, empty without one."""

    def update(self, problem: str, **fields: object) -> None:
        """Set the current problem, empty for none; `fields` are logged with it."""
        before, self.problem = self.problem, problem
        if problem == before:
            return
        if not problem:
            if self.recovered:
                event(self.recovered)
        elif name := self.changed if before else self.failed:
            event(name, logging.WARNING, False, reason=problem, **fields)

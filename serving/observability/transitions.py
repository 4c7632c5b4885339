"""Log a problem when it begins, changes or ends, not at every attempt."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from serving.observability.logging import event


@dataclass
class TransitionLogger:
    """Remembers the current problem and logs its transitions; an event without a name is not logged.

    `failed` is the event of a problem that begins, `changed` of one whose reason changes, `recovered` of its end.
    """

    failed: str
    changed: str = ""
    recovered: str = ""
    problem: str = ""
    """The reason for the current problem, empty without one."""

    def update(self, problem: str, **fields: object) -> None:
        """Take the present problem, empty for none; `fields` go with the event of a problem."""
        before, self.problem = self.problem, problem
        if problem == before:
            return
        if not problem:
            if self.recovered:
                event(self.recovered)
        elif name := self.changed if before else self.failed:
            event(name, logging.WARNING, False, reason=problem, **fields)

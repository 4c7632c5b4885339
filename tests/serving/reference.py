"""The payments and reports sent to the scorer so far, and the features that their definitions give."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.feature_definitions import NEVER, literal_features
from tests.feature_definitions import Payment as Known

Payment = tuple[int, int, int, int, int]
"""id, customer, terminal, cents, second."""


@dataclass
class Bank:
    """The payments applied and the frauds reported so far."""

    payments: list[Payment] = field(default_factory=list)
    reports: dict[int, int] = field(default_factory=dict)

    def report(self, number: int, second: int) -> None:
        """The earliest report counts."""
        self.reports[number] = min(second, self.reports.get(number, second))

    def features(self, payment: Payment) -> dict[str, float]:
        """The features of one payment as of its position in time, from everything here."""
        payments = [self._known(p) for p in [*(p for p in self.payments if p[0] != payment[0]), payment]]
        return {name: float(value) for name, value in literal_features(payments, payments[-1]).items()}

    def _known(self, payment: Payment) -> Known:
        number, customer, terminal, cents, second = payment
        return Known(number, customer, terminal, cents, second, self.reports.get(number, NEVER))

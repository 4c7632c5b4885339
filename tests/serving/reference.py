"""The features as their definition says them, payment by payment, in plain Python: no arrays, no sorting, no kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

DAY = 86_400
DELAY = 7 * DAY
Payment = tuple[int, int, int, int, int]
"""id, customer, terminal, cents, second."""


@dataclass
class Bank:
    """What was applied and reported so far."""

    payments: list[Payment] = field(default_factory=list)
    reports: dict[int, int] = field(default_factory=dict)

    def report(self, number: int, second: int) -> None:
        """The earliest report counts."""
        self.reports[number] = min(second, self.reports.get(number, second))

    def features(self, payment: Payment) -> dict[str, float]:
        """The features of one payment, as of its place in time, with all that is here."""
        number, customer, terminal, cents, t = payment
        at = datetime.fromtimestamp(t, UTC)
        found = {"amount": cents / 100, "is_weekend": float(at.weekday() >= 5), "is_night": float(at.hour <= 6)}
        before = [p for p in self.payments if (p[4], p[0]) < (t, number)] + [payment]
        for days in (1, 7, 30):
            window = [p for p in before if p[1] == customer and t - days * DAY < p[4] <= t]
            found[f"customer_tx_count_{days}d"] = len(window)
            found[f"customer_amount_mean_{days}d"] = sum(p[3] for p in window) / 100 / len(window)
        for days in (1, 7, 30):
            start = t - DELAY - days * DAY
            window = [p for p in before if p[2] == terminal and start < p[4] <= t - DELAY]
            frauds = [p for p in window if self.reports.get(p[0], t + 1) <= t]
            found[f"terminal_tx_count_{days}d"] = len(window)
            found[f"terminal_fraud_rate_{days}d"] = len(frauds) / len(window) if window else 0.0
        return found

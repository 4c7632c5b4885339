"""The features as their definitions say them, payment by payment, in exact fractions: no arrays and no kernel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from fractions import Fraction

DAY = 86_400
LABEL_DELAY = 7 * DAY
NEVER = 2**63 - 1


@dataclass(frozen=True)
class Payment:
    transaction_id: int
    customer_id: int
    terminal_id: int
    cents: int
    occurred: int
    reported: int = NEVER

    @property
    def position(self) -> tuple[int, int]:
        return self.occurred, self.transaction_id


def literal_features(payments: list[Payment], payment: Payment, zone: tzinfo = UTC) -> dict[str, Fraction]:
    """All features of one payment, as of its position in time; night and weekend by the clock of the zone."""
    t = payment.occurred
    seen = [p for p in payments if p.position <= payment.position]
    at = datetime.fromtimestamp(t, zone)
    found = {
        "amount": Fraction(payment.cents, 100),
        "is_weekend": Fraction(at.weekday() >= 5),
        "is_night": Fraction(at.hour <= 6),
    }
    for days in (1, 7, 30):
        w = days * DAY
        own = [p for p in seen if p.customer_id == payment.customer_id and t - w < p.occurred <= t]
        found[f"customer_tx_count_{days}d"] = Fraction(len(own))
        found[f"customer_amount_mean_{days}d"] = Fraction(sum(p.cents for p in own), 100 * len(own))
        here = [
            p
            for p in seen
            if p.terminal_id == payment.terminal_id and t - LABEL_DELAY - w < p.occurred <= t - LABEL_DELAY
        ]
        frauds = [p for p in here if max(p.occurred + LABEL_DELAY, p.reported) <= t]
        found[f"terminal_tx_count_{days}d"] = Fraction(len(here))
        found[f"terminal_fraud_rate_{days}d"] = Fraction(len(frauds), max(len(here), 1))
    return found | literal_habit(seen, payment) | literal_fraud_run(seen, payment)


def literal_habit(seen: list[Payment], payment: Payment) -> dict[str, Fraction]:
    """What contracts/habit.py says."""
    own = [p for p in seen if p.customer_id == payment.customer_id and p.position < payment.position]
    own = [p for p in own if p.occurred > payment.occurred - 30 * DAY]
    habit = sorted(own, key=lambda p: p.position)[-64:]
    cent, amount = Fraction(1, 100), Fraction(payment.cents, 100)
    amounts = sorted(Fraction(p.cents, 100) for p in habit)
    median = median_of(amounts)
    deviation = median_of(sorted(abs(a - median) for a in amounts))
    quartile = amounts[3 * len(amounts) // 4] if amounts else Fraction(0)
    # The smallest divisor: a cent, or half a cent where the median can be half a cent.
    found = {
        "customer_amount_median": median,
        "customer_amount_deviation": deviation,
        "amount_to_median": amount / max(median, cent / 2) if habit else Fraction(1),
        "amount_to_upper_quartile": amount / max(quartile, cent) if habit else Fraction(1),
        "amount_deviations": (amount - median) / max(deviation, median / 20, cent / 4) if habit else Fraction(0),
    }
    extreme = [p for p in habit if Fraction(p.cents, 100) > Fraction(5, 2) * median]
    for days in (7, 14):
        recent = [p for p in habit if p.occurred > payment.occurred - days * DAY]
        most = max((Fraction(p.cents, 100) for p in recent), default=Fraction(0))
        found[f"customer_max_to_median_{days}d"] = most / max(median, cent / 2)
        found[f"customer_extreme_count_{days}d"] = Fraction(len([p for p in recent if p in extreme]))
    ages = [Fraction(payment.occurred - p.occurred, DAY) for p in extreme]
    found["customer_days_since_extreme"] = min(ages, default=Fraction(30))
    return found


def median_of(ranked: list[Fraction]) -> Fraction:
    n = len(ranked)
    return (ranked[(n - 1) // 2] + ranked[n // 2]) / 2 if ranked else Fraction(0)


def literal_fraud_run(seen: list[Payment], payment: Payment) -> dict[str, Fraction]:
    """What contracts/fraud_runs.py says."""
    t = payment.occurred
    here = [p for p in seen if p.terminal_id == payment.terminal_id]
    here = [p for p in here if t - LABEL_DELAY - 30 * DAY < p.occurred <= t - LABEL_DELAY]
    here.sort(key=lambda p: p.position)
    fraud = [p.reported <= t for p in here]
    last = max((n for n, bad in enumerate(fraud) if bad), default=None)
    before = max((n for n, bad in enumerate(fraud[:last]) if not bad), default=None) if last is not None else None
    first = None if last is None else 0 if before is None else before + 1
    run = [] if last is None or first is None else [p.cents for p in here[first : last + 1]]
    genuine = max((n for n, bad in enumerate(fraud) if not bad), default=None)

    def age(n: int | None) -> Fraction:
        return Fraction(37) if n is None else Fraction(t - here[n].occurred, DAY)

    return {
        "terminal_fraud_run_length": Fraction(0 if last is None or first is None else last - first + 1),
        "terminal_days_since_run_start": age(first),
        "terminal_days_since_fraud": age(last),
        "terminal_days_since_genuine": age(genuine),
        "terminal_days_since_genuine_before_run": age(before),
        "terminal_genuine_since_fraud": Fraction(len(here) if last is None else len(here) - 1 - last),
        "terminal_fraud_run_amount_mean": Fraction(sum(run), 100 * len(run)) if run else Fraction(0),
    }

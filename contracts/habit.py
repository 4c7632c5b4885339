"""Features that compare a payment with its customer's habit: order statistics of earlier payments, in whole cents.

The habit is up to 64 of the customer's payments before this one (the latest), within (t - 30 d, t]. Medians are
used because the large payments of a stolen card are among them and would shift a mean.
"""

from __future__ import annotations

from typing import Final

HABIT_DAYS: Final = 30
HABIT_PAYMENTS: Final = 64
EXTREME: Final = (5, 2)
"""A payment is extreme above 5/2 of the habit's median, which is beyond most customers' normal variation."""
RECENT_DAYS: Final = (7, 14)
HABIT_FEATURES: Final = (
    "customer_amount_median",
    "customer_amount_deviation",
    "amount_to_median",
    "amount_to_upper_quartile",
    "amount_deviations",
    *(f"customer_{what}_{w}d" for w in RECENT_DAYS for what in ("max_to_median", "extreme_count")),
    "customer_days_since_extreme",
)

"""Features that compare a payment with its customer's habit: order statistics of earlier payments, in whole cents.

The habit is up to 64 of the customer's payments before this one (the latest), within (t - 30 d, t]. Medians are
used because the large payments of a stolen card are among them and would shift a mean.

| feature | what it is |
|---|---|
| `customer_amount_median`, `customer_amount_deviation` | the habit's median, and median absolute deviation |
| `amount_to_median`, `amount_to_upper_quartile` | the amount divided by the median, and by the value at index 3 n / 4 |
| `amount_deviations` | how many deviations above the median; one is at least a twentieth of the median |
| `customer_max_to_median_{7,14}d` | the largest amount of the habit's last days, divided by the median |
| `customer_extreme_count_{7,14}d` | how many of the habit's last days are extreme |
| `customer_days_since_extreme` | days since the habit's latest extreme payment, 30 without one |

Without earlier payments the amount counts as usual (ratios 1, deviations 0) and nothing as extreme. They are computed
in `contracts/kernel.py`: `habit_into`, `extremes_into`.
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

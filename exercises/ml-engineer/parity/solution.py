"""Two features of one payment, computed online, equal to the training data bit for bit."""

from __future__ import annotations

import numpy as np

from contracts.labels import DAY
from contracts.online_state import unpack_history

WINDOW = 7 * DAY
"""The length of the window, in seconds."""


def customer_week(history: bytes, second: int, transaction_id: int) -> tuple[float, float]:
    """How many payments a customer made in the week up to a payment, and their mean amount in currency units.

    The mean is the sum of cents, divided once, by 100 times the count.
    `history` is the customer's, packed: `unpack_history(history)` returns its floor, which is not needed here, and its
    entries, shape (n,), sorted by (`occurred`, `transaction_id`); `value` is the amount in cents. `second` (since 1970)
    and `transaction_id` are the payment's position in time; the payment itself is in the history.
    """
    # --- your work: begin
    _, entries = unpack_history(history)
    occurred, ids = entries["occurred"], entries["transaction_id"]
    not_later = (occurred < second) | ((occurred == second) & (ids <= transaction_id))
    cents = entries["value"][not_later & (occurred > second - WINDOW)]
    # Summing whole cents is exact in any order; a single division rounds once.
    return float(len(cents)), int(np.sum(cents)) / (100 * len(cents))
    # --- your work: end

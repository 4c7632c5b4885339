"""The request bodies of the scorer's benchmark: the lake's payments, later and with new ids."""

from __future__ import annotations

import pyarrow as pa

from benchmarks.scorer.prepare import FIRST_ID, payments
from contracts.transaction import Transaction


def test_payments_are_valid_and_in_order_of_time() -> None:
    clean = pa.table(
        {"customer_id": [1, 2, 3], "terminal_id": [10, 20, 30], "amount_cents": [105, 100_000_000, 0]},
    )
    made = [Transaction.model_validate(one) for one in payments(clean, 1_530_000_000, 8)]
    assert [one.transaction_id for one in made] == [FIRST_ID + n for n in range(8)]
    assert [one.occurred_second for one in made] == [1_530_000_000 + n for n in range(8)]
    pairs = {(one.customer_id, one.terminal_id, one.amount_cents) for one in made}
    assert pairs == {(1, 10, 105), (2, 20, 100_000_000), (3, 30, 0)}

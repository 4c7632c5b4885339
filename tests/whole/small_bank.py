"""A small bank in the published format, with difficult cases for parity planted on its last day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.days import first_second
from contracts.labels import DAY, LABEL_DELAY_DAYS

FIRST_DAY = date(2018, 4, 1)
DAYS = 48
LIVE_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
HISTORY_END = LIVE_DAY - timedelta(days=1)
LIVE = first_second(LIVE_DAY)
CUSTOMERS, TERMINALS, A_DAY = 60, 40, 110
LAST_FILLED_SECOND = 80_000
"""The random payments of a day end here, so that a test may add later ones by hand."""

BIG = 2**63 - 1

Row = tuple[int, int, int, int, int, bool]
"""transaction id, second, customer, terminal, cents, fraud."""


@dataclass
class SmallBank:
    """The rows of the bank, with names for the planted ones; `corrections` are rows of other files, by name."""

    rows: list[Row] = field(default_factory=list)
    corrections: dict[str, list[Row]] = field(default_factory=dict)
    planted: dict[str, int] = field(default_factory=dict)

    def plant(self, name: str, row: Row) -> None:
        """Add one row under a name."""
        self.planted[name] = row[0]
        self.rows.append(row)

    def write(self, folder: Path) -> None:
        """Write the rows as Parquet files in the published format."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in {"payments": self.rows, **self.corrections}.items():
            _write(rows, folder / f"{name}.parquet")


def _write(rows: list[Row], path: Path) -> None:
    number, second, customer, terminal, cents, fraud = zip(*rows, strict=True)
    pq.write_table(
        pa.table(
            {
                "TRANSACTION_ID": pa.array(number, pa.int64()),
                "TX_DATETIME": pa.array(np.array(second).astype("datetime64[s]").astype("datetime64[us]")),
                "CUSTOMER_ID": pa.array(customer, pa.int64()),
                "TERMINAL_ID": pa.array(terminal, pa.int64()),
                "TX_AMOUNT": pa.array(np.array(cents) / 100),
                "TX_FRAUD": pa.array(np.array(fraud).astype(np.int8)),
                "TX_FRAUD_SCENARIO": pa.array(np.array(fraud).astype(np.int8)),
            }
        ),
        path,
    )


def make_small_bank(seed: int = 3) -> SmallBank:
    """Random payments, fraudulent at large amounts and two bad terminals, with the planted cases."""
    small_bank = SmallBank(_random_rows(np.random.default_rng(seed)))
    # The same second, twice: one customer at two terminals, and one terminal with two customers; the ids run backwards.
    small_bank.plant("same_second_b", (900_002, LIVE + 40_000, 5, 7, 1_000, False))
    small_bank.plant("same_second_a", (900_001, LIVE + 40_000, 5, 8, 2_000, False))
    small_bank.plant("same_second_c", (900_003, LIVE + 40_000, 6, 7, 3_000, False))
    small_bank.plant("never_seen", (BIG, LIVE + 41_000, BIG, BIG, 4_200, False))
    small_bank.plant("never_seen_again", (BIG - 1, LIVE + 41_001, BIG, BIG - 1, 4_300, False))
    # A payment exactly one day before another of its customer: just outside the window.
    small_bank.plant("a_day_before", (900_004, LIVE - DAY + 42_000, 9, 3, 9_900, False))
    small_bank.plant("a_day_later", (900_005, LIVE + 42_000, 9, 4, 1_100, False))
    # A fraud becomes known in the very second of a payment at its terminal.
    small_bank.plant("known_now", (900_006, LIVE - LABEL_DELAY_DAYS * DAY + 43_000, 11, 12, 7_700, True))
    small_bank.plant("sees_it_now", (900_007, LIVE + 43_000, 13, 12, 700, False))
    # A fraud that is not reported within seven days: the test posts its report.
    small_bank.plant("reported_late", (900_008, LIVE - 12 * DAY + 500, 14, 15, 8_800, False))
    # Invalid rows: a negative amount, and a repeated id.
    small_bank.plant("negative", (900_009, LIVE - 3 * DAY, 14, 15, -500, False))
    small_bank.plant("repeated", (900_008, LIVE - 2 * DAY, 14, 15, 100, False))
    # A live payment with the id of another customer's in the history, and two after it: the scorer decides all three.
    small_bank.plant("known_id", (5, LIVE + 44_000, CUSTOMERS, 7, 5_500, False))
    small_bank.plant("after_known_id", (900_010, LIVE + 44_001, CUSTOMERS, 7, 5_600, False))
    small_bank.plant("after_both", (900_011, LIVE + 44_002, CUSTOMERS, 7, 5_700, False))
    # Files that correct five live payments: the first file in order is the one that counts.
    five = [row for row in small_bank.rows if LIVE <= row[1] < LIVE + 40_000][:5]
    for name, more in (("a-corrections", 100), ("z-corrections", 200)):
        small_bank.corrections[name] = [(*row[:4], row[4] + more, row[5]) for row in five]
    small_bank.rows.sort(key=lambda row: (row[1], row[0] != 900_002))
    return small_bank


def _random_rows(rng: np.random.Generator) -> list[Row]:
    rows: list[Row] = []
    for day in range(DAYS):
        seconds = np.sort(rng.integers(0, LAST_FILLED_SECOND, A_DAY)) + first_second(FIRST_DAY) + day * DAY
        for second in seconds.tolist():
            customer, terminal = (int(rng.integers(0, n)) for n in (CUSTOMERS, TERMINALS))
            cents = int(rng.gamma(2.0, 2_500)) + 1
            fraud = cents > 15_000 or (terminal in (1, 2) and rng.random() < 0.6)
            rows.append((len(rows), second, customer, terminal, cents, bool(fraud)))
    return rows

"""Checks two online features against small histories, then against the kernel that training uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from contracts.features import customer_features
from contracts.labels import DAY
from contracts.online_state import CUSTOMER_KEEP, pack_entries, pack_second
from exercises.expect import Description, expect, show

T = 1_536_019_200
Entry = tuple[int, int, int]
Pair = tuple[float, float]


def pack(entries: Sequence[Entry], floor: int = 0) -> bytes:
    """A history as Valkey holds it, of (second, transaction id, cents)."""
    occurred, ids, cents = (np.array(column, dtype=np.int64) for column in zip(*sorted(entries), strict=True))
    return pack_second(floor) + pack_entries(occurred, ids, cents).tobytes()


def ask(answer: Any, history: bytes, second: int, number: int) -> object:
    """The answer: a tuple of plain numbers if it is a sequence of numbers, otherwise a description."""
    actual = answer.customer_week(history, second, number)
    given = actual.tolist() if isinstance(actual, np.ndarray) else actual
    if isinstance(given, tuple | list) and all(isinstance(one, Real) and not isinstance(one, bool) for one in given):
        return tuple(float(one) for one in given)
    return Description(show(actual))


def same_bits(actual: object, expected: object) -> bool:
    """Whether both are the same numbers, to the last bit."""
    return isinstance(actual, tuple) and actual == expected


def check(
    answer: Any, entries: Sequence[Entry], asking: Entry, expected: Pair, otherwise: str, mistakes: Sequence[Any] = ()
) -> None:
    """Compare the features of one payment, given its customer's history."""
    second, number, _ = asking
    actual = ask(answer, pack(entries), second, number)
    shown = ", ".join(f"{told(at)} id {id_} {cents} cents" for at, id_, cents in sorted(entries))
    call = f"customer_week(a history of [{shown}], {told(second)}, {number})"
    expect(call, actual, expected, otherwise, [*mistakes, *common(expected)], same=same_bits)


def common(expected: Pair) -> list[tuple[object, str]]:
    """Mistakes that any case may show."""
    count, mean = expected
    return [
        (
            lambda actual: not isinstance(actual, tuple) or len(actual) != 2 or actual == (mean, count),
            "Return two numbers: the count, then the mean.",
        ),
        (
            (count, mean * 100),
            "The mean is in cents. The feature is in currency units; the history stores cents so that sums are exact.",
        ),
        (
            lambda actual: actual[0] == count and math.isclose(actual[1], mean, rel_tol=1e-6),
            "Only the last bits are wrong, but the model then gets values that differ from its training data. A float "
            "cannot represent 0.10 exactly, and each float operation rounds again: sum whole cents, and divide once, "
            "by 100 times the count.",
        ),
        (
            lambda actual: actual[0] == count and abs(actual[1] - mean) < 0.006,
            "The mean is rounded to cents. The model was trained on the exact mean.",
        ),
    ]


def told(second: int) -> str:
    """A second in words: how far it is from the instant t of these cases."""
    days, rest = divmod(second - T, DAY)
    return "t" + (f"{days:+d}d" if days else "") + (f"{rest:+d}s" if rest else "")


def test_plain(answer: Any) -> None:
    old, new = (T - DAY, 1, 1000), (T, 2, 3000)
    says = "The payment itself is left out: in training it is included, in the count and in the mean."
    check(answer, [old, new], new, (2.0, 20.0), "Both payments are within the week.", [((1.0, 10.0), says)])


def test_window_is_open_at_its_start(answer: Any) -> None:
    edge, inside, now = (T - 7 * DAY, 1, 1000), (T - 7 * DAY + 1, 2, 3000), (T, 3, 5000)
    says = (
        "A payment exactly 7 days before is counted. The window is (t - 7 days, t], open at its start: otherwise a "
        "payment on the boundary of two windows would be in both."
    )
    narrow = "A payment 7 days less one second before is in the window, but is not counted: count in seconds."
    mistakes = [((3.0, 30.0), says), ((1.0, 50.0), narrow)]
    check(answer, [edge, inside, now], now, (2.0, 40.0), "The window is (t - 7 days, t].", mistakes)


def test_late_payment(answer: Any) -> None:
    before, late, after = (T - DAY, 1, 1000), (T, 2, 2000), (T + DAY, 3, 6000)
    says = (
        "A payment that happened later is counted. This payment arrived late, so the history already contains the next "
        "one; in training no payment sees later ones. Use the history as of the payment's own position in time."
    )
    whole_week = "The window ends at the history's last payment. It must end at the payment being scored."
    mistakes = [((3.0, 30.0), says), (lambda actual: actual == (2.0, 40.0), whole_week)]
    check(answer, [before, late, after], late, (2.0, 15.0), "It sees the payments before it, and itself.", mistakes)


def test_same_second(answer: Any) -> None:
    first, second, third = (T, 7, 1000), (T, 8, 2000), (T, 9, 6000)
    says_later = (
        "A payment of the same second with a larger id is counted. The second alone does not order payments: a "
        "position in time is (second, transaction id), so that online and offline use the same order."
    )
    says_earlier = "A payment of the same second with a smaller id comes before this one, and must be counted."
    mistakes = [((3.0, 30.0), says_later), ((1.0, 20.0), says_earlier)]
    check(answer, [first, second, third], second, (2.0, 15.0), "It sees id 7 and itself.", mistakes)


def test_the_window_is_that_of_the_payment(answer: Any) -> None:
    first, late, after = (T - 6 * DAY, 1, 1000), (T, 2, 2000), (T + 3 * DAY, 3, 6000)
    says = "The window begins a week before the last payment of the history, not before the one being scored."
    check(
        answer,
        [first, late, after],
        late,
        (2.0, 15.0),
        "It sees the payment six days before, and itself.",
        [((1.0, 20.0), says)],
    )


def test_greater_id_earlier(answer: Any) -> None:
    first, second = (T - 60, 9, 1000), (T, 8, 3000)
    says = "A payment from a minute before is left out because its id is larger. The id decides only within one second."
    check(answer, [first, second], second, (2.0, 20.0), "It sees both.", [((1.0, 30.0), says)])


def test_exact(answer: Any) -> None:
    cents = [10, 20, 70]
    entries = [(T + n, n, one) for n, one in enumerate(cents)]
    check(answer, entries, entries[1], (2.0, 0.15), "10 and 20 cents: a mean of 0.15, not 0.15000000000000002.")
    cents = [5, 5, 7]
    entries = [(T + n, n, one) for n, one in enumerate(cents)]
    says = (
        "17 cents in three payments: 17 / 300. Dividing by 3 and then by 100 rounds twice, and gives a different "
        "result."
    )
    check(answer, entries, entries[2], (3.0, 17 / 300), says)
    entries = [(T + n, n, 100_000_000) for n in range(30)]
    says = "30 payments of a million: their sum in cents exceeds 32 bits. Sum in 64 bits, or in Python."
    short = (lambda actual: isinstance(actual, tuple) and actual[0] == 30.0 and abs(actual[1] - 1e6) > 1, says)
    check(answer, entries, entries[29], (30.0, 1_000_000.0), says, [short])
    alone = (T, 5, 1999)
    check(answer, [alone], alone, (1.0, 19.99), "A customer's first payment counts itself.")


def random_lake(rng: np.random.Generator, customers: int, payments: int) -> list[np.ndarray]:
    """Payments of some customers over 60 days, sorted as the kernel wants them: (customer, second, id), and cents.

    Many at the same second, and many exactly a week apart.
    """
    customer = rng.integers(customers, size=payments)
    occurred = T + rng.integers(60, size=payments) * DAY + rng.choice([0, 1, 3600, DAY - 1], size=payments)
    ids = rng.permutation(payments)
    cents = rng.integers(1, 50_000, size=payments)
    order = np.lexsort((ids, occurred, customer))
    return [column[order] for column in (customer, occurred, ids, cents)]


def test_agrees_with_production(answer: Any) -> None:
    rng = np.random.default_rng(2018)
    customer, occurred, ids, cents = random_lake(rng, 12, 1500)
    offline = customer_features(customer, occurred, cents, np.arange(len(ids)))
    counts, means = offline["customer_tx_count_7d"], offline["customer_amount_mean_7d"]
    # A history as it is when the payment is scored: a third of them come late, after payments of the next days.
    reach = occurred + rng.choice([0, 0, 3 * DAY], size=len(ids))
    for row in rng.permutation(len(ids))[:600].tolist():
        newest = int(reach[row])
        kept = (customer == customer[row]) & (occurred <= newest) & (occurred > newest - CUSTOMER_KEEP)
        entries = list(zip(*(column[kept].tolist() for column in (occurred, ids, cents)), strict=True))
        second, number = int(occurred[row]), int(ids[row])
        actual = ask(answer, pack(entries, max(newest - CUSTOMER_KEEP, 0)), second, number)
        call = f"customer_week(a history of {len(entries)} payments, {second}, {number})"
        expected = (float(counts[row]), float(means[row]))
        says = "The kernel in contracts/kernel.py, which Spark applies to the lake, gives a different value."
        expect(call, actual, expected, says, common(expected), same=same_bits)

"""The kernel: the one computation of every feature, compiled by Numba, for Spark and for the scorer.

What each feature is: `contracts/features.py`, `contracts/habit.py` and `contracts/fraud_runs.py`. To find where one is
computed, search for its name in capitals. The functions are plain Python and also run as such;
`contracts/compiled.py` compiles them, and nothing calls them uncompiled except tests.

Compiled code is cached by the content of this file alone, so it imports nothing of the project: the constants are
repeated here, and `tests/contracts/test_kernel.py` compares them with the contract's.

A history is a set of arrays of length n, sorted by (entity, occurred, transaction id); `rows` are the indices of the
payments whose features to compute, in any order; quickest ascending. Each function moves through the rows once, and
its windows move along. Everything summed is an integer; a float appears only in the final division.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numba.extending import register_jitable

DAY = 86_400
LABEL_DELAY = 7 * DAY
NEVER = 2**63 - 1
FIRST_WEEKDAY = 3
LAST_NIGHT_HOUR = 6
CUSTOMER_HORIZON = 37 * DAY
TERMINAL_HORIZON = 37 * DAY
HABIT_PAYMENTS = 64
HABIT_DAYS = 30
NO_SUCH_DAYS = 37.0
CENTS_BITS = 27
NOT_REPORTED = 2**36 - 1

# The features, by their index in their group; the groups are in the order of `FEATURES`.
AMOUNT, IS_WEEKEND, IS_NIGHT = range(3)
(
    CUSTOMER_TX_COUNT_1D,
    CUSTOMER_AMOUNT_MEAN_1D,
    CUSTOMER_TX_COUNT_7D,
    CUSTOMER_AMOUNT_MEAN_7D,
    CUSTOMER_TX_COUNT_30D,
    CUSTOMER_AMOUNT_MEAN_30D,
) = range(6)
(
    TERMINAL_TX_COUNT_1D,
    TERMINAL_FRAUD_RATE_1D,
    TERMINAL_TX_COUNT_7D,
    TERMINAL_FRAUD_RATE_7D,
    TERMINAL_TX_COUNT_30D,
    TERMINAL_FRAUD_RATE_30D,
) = range(6)
(
    CUSTOMER_AMOUNT_MEDIAN,
    CUSTOMER_AMOUNT_DEVIATION,
    AMOUNT_TO_MEDIAN,
    AMOUNT_TO_UPPER_QUARTILE,
    AMOUNT_DEVIATIONS,
    CUSTOMER_MAX_TO_MEDIAN_7D,
    CUSTOMER_EXTREME_COUNT_7D,
    CUSTOMER_MAX_TO_MEDIAN_14D,
    CUSTOMER_EXTREME_COUNT_14D,
    CUSTOMER_DAYS_SINCE_EXTREME,
) = range(10)
(
    TERMINAL_FRAUD_RUN_LENGTH,
    TERMINAL_DAYS_SINCE_RUN_START,
    TERMINAL_DAYS_SINCE_FRAUD,
    TERMINAL_DAYS_SINCE_GENUINE,
    TERMINAL_DAYS_SINCE_GENUINE_BEFORE_RUN,
    TERMINAL_GENUINE_SINCE_FRAUD,
    TERMINAL_FRAUD_RUN_AMOUNT_MEAN,
) = range(7)
N_FEATURES = 32

SORTED, UNSORTED, OUTSIDE = range(3)

Array = Any
"""Of the type in the function's docstring: int64, and float64 for results."""


def check(entity: Array, occurred: Array, rows: Array) -> int:
    """`SORTED`, or what is wrong: the history is `UNSORTED`, or a row is `OUTSIDE` of it."""
    for i in range(1, len(entity)):
        if entity[i] < entity[i - 1] or (entity[i] == entity[i - 1] and occurred[i] < occurred[i - 1]):
            return UNSORTED
    for row in rows:
        if row < 0 or row >= len(entity):
            return OUTSIDE
    return SORTED


@register_jitable
def payment_into(occurred: Array, cents: Array, transitions: Array, offsets: Array, out: Array) -> None:
    """Features of each payment alone into `out`, shape (3, n); a zone's table gives its local time."""
    for i in range(len(occurred)):
        low, high = 0, len(transitions)
        while low < high:
            middle = (low + high) >> 1
            if transitions[middle] <= occurred[i]:
                low = middle + 1
            else:
                high = middle
        local = occurred[i] + offsets[low]
        out[AMOUNT, i] = cents[i] / 100
        out[IS_WEEKEND, i] = (local // DAY + FIRST_WEEKDAY) % 7 >= 5
        out[IS_NIGHT, i] = local % DAY // 3600 <= LAST_NIGHT_HOUR


@register_jitable
def first_of(entity: Array, row: int) -> int:
    """The position of the first payment of the row's entity; steps back in doubled steps, since it is mostly near."""
    step, at = 1, row
    while at - step >= 0 and entity[at - step] == entity[row]:
        at -= step
        step <<= 1
    low = max(0, at - step)
    while low < at:
        middle = (low + at) >> 1
        if entity[middle] == entity[row]:
            at = middle
        else:
            low = middle + 1
    return at


@register_jitable
def first_after(occurred: Array, low: int, high: int, second: int) -> int:
    """The first position in [low, high) of a payment after `second`, else `high`."""
    while low < high:
        middle = (low + high) >> 1
        if occurred[middle] > second:
            high = middle
        else:
            low = middle + 1
    return low


@register_jitable
def insert(ranked: Array, count: int, amount: int) -> None:
    """Add an amount to the `count` ascending amounts."""
    at = count
    while at > 0 and ranked[at - 1] > amount:
        ranked[at] = ranked[at - 1]
        at -= 1
    ranked[at] = amount


@register_jitable
def remove(ranked: Array, count: int, amount: int) -> None:
    """Remove an amount from the `count` ascending amounts; it is among them."""
    at = np.searchsorted(ranked[:count], amount)
    for i in range(at, count - 1):
        ranked[i] = ranked[i + 1]


@register_jitable
def smallest_deviation(ranked: Array, count: int, rank: int, median2: int) -> int:
    """The value at index `rank` of the ascending |2 a - median2|, over the `count` ascending amounts a.

    The `rank` + 1 amounts nearest to the median are neighbours: a binary search finds the first of them.
    """
    low, high = 0, count - 1 - rank
    while low < high:
        middle = (low + high) >> 1
        if ranked[middle] + ranked[middle + rank] >= median2:
            high = middle
        else:
            low = middle + 1
    found: int = max(2 * ranked[low + rank] - median2, median2 - 2 * ranked[low])
    if low > 0:
        found = min(found, max(2 * ranked[low + rank - 1] - median2, median2 - 2 * ranked[low - 1]))
    return found


@register_jitable
def no_habit_into(out: Array, i: int) -> None:
    """The habit's features without earlier payments, which make nothing unusual."""
    out[:, i] = 0.0
    out[AMOUNT_TO_MEDIAN, i] = 1.0
    out[AMOUNT_TO_UPPER_QUARTILE, i] = 1.0
    out[CUSTOMER_DAYS_SINCE_EXTREME, i] = HABIT_DAYS


@register_jitable
def habit_into(own: int, ranked: Array, count: int, out: Array, i: int) -> int:
    """The amount `own` against the `count` ascending amounts of the habit; returns twice their median."""
    # Twice the median and four times the median deviation, because halves would not be integers.
    median2: int = ranked[(count - 1) // 2] + ranked[count // 2]
    deviation2 = smallest_deviation(ranked, count, (count - 1) // 2, median2)
    upper2 = deviation2 if count % 2 else smallest_deviation(ranked, count, count // 2, median2)
    deviation4 = deviation2 + upper2
    out[CUSTOMER_AMOUNT_MEDIAN, i] = median2 / 200
    out[CUSTOMER_AMOUNT_DEVIATION, i] = deviation4 / 400
    out[AMOUNT_TO_MEDIAN, i] = 2 * own / max(median2, 1)
    out[AMOUNT_TO_UPPER_QUARTILE, i] = own / max(ranked[3 * count // 4], 1)
    # The deviation of equal amounts is 0, so it is floored at a twentieth of the median.
    out[AMOUNT_DEVIATIONS, i] = (40 * own - 20 * median2) / max(10 * deviation4, median2, 10)
    return median2


@register_jitable
def extremes_into(
    occurred: Array, cents: Array, start: int, start7: int, start14: int, row: int, median2: int, out: Array, i: int
) -> None:
    """The habit's largest and its extreme payments, those above 5/2 of its median; it is [start, row)."""
    most7 = most14 = extreme7 = extreme14 = 0
    since = HABIT_DAYS * DAY
    for at in range(start, row):
        extreme = 4 * cents[at] > 5 * median2
        if extreme:
            since = occurred[row] - occurred[at]
        if at >= start14:
            most14 = max(most14, cents[at])
            extreme14 += extreme
        if at >= start7:
            most7 = max(most7, cents[at])
            extreme7 += extreme
    out[CUSTOMER_MAX_TO_MEDIAN_7D, i] = 2 * most7 / max(median2, 1)
    out[CUSTOMER_EXTREME_COUNT_7D, i] = extreme7
    out[CUSTOMER_MAX_TO_MEDIAN_14D, i] = 2 * most14 / max(median2, 1)
    out[CUSTOMER_EXTREME_COUNT_14D, i] = extreme14
    out[CUSTOMER_DAYS_SINCE_EXTREME, i] = since / DAY


@register_jitable
def count_and_mean(count: int, cents: int) -> tuple[float, float]:
    """How many payments, and their mean amount; the row's own payment is among them."""
    return float(count), cents / (100 * count)


@register_jitable
def count_and_rate(count: int, frauds: int) -> tuple[float, float]:
    """How many payments, and the share of known frauds, 0 without payments."""
    return float(count), frauds / max(count, 1)


@register_jitable
def customer_into(entity: Array, occurred: Array, cents: Array, rows: Array, out: Array, habit: Array) -> None:
    """Features of a customer's payments at `rows`: windows into `out`, shape (6, rows), and `habit`, shape (10, rows).

    `start7` is the first position within 7 days, `sum7` the cents from it up to and with the row's; `ranked` has the
    amounts of the habit, positions [oldest, row).
    """
    ranked = np.empty(HABIT_PAYMENTS + 1, np.int64)
    start1 = start7 = start14 = start30 = summed = oldest = newest = 0
    sum1 = sum7 = sum30 = 0
    for i in range(len(rows)):
        row = rows[i]
        now = occurred[row]
        if i == 0 or row < rows[i - 1] or entity[row] != entity[rows[i - 1]]:
            start30 = first_after(occurred, first_of(entity, row), row, now - 30 * DAY)
            start1 = start7 = start14 = summed = oldest = newest = start30
            sum1 = sum7 = sum30 = 0
        while summed <= row:
            sum1 += cents[summed]
            sum7 += cents[summed]
            sum30 += cents[summed]
            summed += 1
        while occurred[start1] <= now - DAY:
            sum1 -= cents[start1]
            start1 += 1
        while occurred[start7] <= now - 7 * DAY:
            sum7 -= cents[start7]
            start7 += 1
        while occurred[start14] <= now - 14 * DAY:
            start14 += 1
        while occurred[start30] <= now - 30 * DAY:
            sum30 -= cents[start30]
            start30 += 1
        out[CUSTOMER_TX_COUNT_1D, i], out[CUSTOMER_AMOUNT_MEAN_1D, i] = count_and_mean(row + 1 - start1, sum1)
        out[CUSTOMER_TX_COUNT_7D, i], out[CUSTOMER_AMOUNT_MEAN_7D, i] = count_and_mean(row + 1 - start7, sum7)
        out[CUSTOMER_TX_COUNT_30D, i], out[CUSTOMER_AMOUNT_MEAN_30D, i] = count_and_mean(row + 1 - start30, sum30)

        while newest < row:
            insert(ranked, newest - oldest, cents[newest])
            newest += 1
            if newest - oldest > HABIT_PAYMENTS:
                remove(ranked, newest - oldest, cents[oldest])
                oldest += 1
        while oldest < start30:
            remove(ranked, newest - oldest, cents[oldest])
            oldest += 1
        if oldest == row:
            no_habit_into(habit, i)
        else:
            median2 = habit_into(cents[row], ranked, row - oldest, habit, i)
            extremes_into(occurred, cents, oldest, start7, start14, row, median2, habit, i)


@register_jitable
def last_genuine(known: Array, skip: Array, at: int, floor: int) -> int:
    """The last position from `at` down to `floor` that is not a known fraud, else one below `floor`.

    `skip` leads from a known fraud to where to look next. It is shortened each time: frauds never become genuine.
    """
    top = at
    while at >= floor and known[at]:
        at = skip[at]
    while top >= floor and known[top] and skip[top] > at:
        following = skip[top]
        skip[top] = at
        top = following
    return at


@register_jitable
def run_into(occurred: Array, total: Array, now: int, before: int, floor: int, last: int, out: Array, i: int) -> None:
    """The run of frauds that ends at `last`, after the genuine payment `before`; that is below `floor` if missing."""
    start = max(before + 1, floor)
    out[TERMINAL_FRAUD_RUN_LENGTH, i] = last + 1 - start
    out[TERMINAL_DAYS_SINCE_RUN_START, i] = (now - occurred[start]) / DAY
    out[TERMINAL_DAYS_SINCE_FRAUD, i] = (now - occurred[last]) / DAY
    out[TERMINAL_DAYS_SINCE_GENUINE_BEFORE_RUN, i] = (now - occurred[before]) / DAY if before >= floor else NO_SUCH_DAYS
    out[TERMINAL_FRAUD_RUN_AMOUNT_MEAN, i] = (total[last + 1] - total[start]) / (100 * (last + 1 - start))


@register_jitable
def no_run_into(out: Array, i: int) -> None:
    """The features of a run where no visible payment is a known fraud."""
    out[TERMINAL_FRAUD_RUN_LENGTH, i] = 0.0
    out[TERMINAL_DAYS_SINCE_RUN_START, i] = NO_SUCH_DAYS
    out[TERMINAL_DAYS_SINCE_FRAUD, i] = NO_SUCH_DAYS
    out[TERMINAL_DAYS_SINCE_GENUINE_BEFORE_RUN, i] = NO_SUCH_DAYS
    out[TERMINAL_FRAUD_RUN_AMOUNT_MEAN, i] = 0.0


@register_jitable
def terminal_into(
    entity: Array, occurred: Array, cents: Array, reported: Array, rows: Array, out: Array, runs: Array
) -> None:
    """Features of a terminal's payments at `rows`: windows into `out`, shape (6, rows), and `runs`, shape (7, rows).

    Visible are the positions [start30, end): those a label delay or more ago. `frauds7` counts the known frauds
    from `start7` on. A report that comes later than the delay waits in the heap `waiting`, as (second, position).
    """
    known = np.zeros(len(entity), np.uint8)
    skip = np.empty(len(entity), np.int64)
    total = np.zeros(len(entity) + 1, np.int64)  # the cents of the visible positions before each
    waiting = [(NEVER, -1)]
    start1 = start7 = start30 = end = 0
    frauds1 = frauds7 = frauds30 = 0
    last = -1
    for i in range(len(rows)):
        row = rows[i]
        now = occurred[row]
        if i == 0 or row < rows[i - 1] or entity[row] != entity[rows[i - 1]]:
            start30 = first_after(occurred, first_of(entity, row), row, now - LABEL_DELAY - 30 * DAY)
            start1 = start7 = end = start30
            frauds1 = frauds7 = frauds30 = 0
            last = -1
            waiting = [(NEVER, -1)]
        while occurred[end] <= now - LABEL_DELAY:
            known[end] = 0
            total[end + 1] = total[end] + cents[end]
            if reported[end] != NEVER:
                heapq.heappush(waiting, (reported[end], end))
            end += 1
        while waiting[0][0] <= now:
            at = heapq.heappop(waiting)[1]
            known[at] = 1
            skip[at] = at - 1
            last = max(last, at)
            frauds1 += at >= start1
            frauds7 += at >= start7
            frauds30 += at >= start30
        while start1 < end and occurred[start1] <= now - LABEL_DELAY - DAY:
            frauds1 -= known[start1]
            start1 += 1
        while start7 < end and occurred[start7] <= now - LABEL_DELAY - 7 * DAY:
            frauds7 -= known[start7]
            start7 += 1
        while start30 < end and occurred[start30] <= now - LABEL_DELAY - 30 * DAY:
            frauds30 -= known[start30]
            start30 += 1
        out[TERMINAL_TX_COUNT_1D, i], out[TERMINAL_FRAUD_RATE_1D, i] = count_and_rate(end - start1, frauds1)
        out[TERMINAL_TX_COUNT_7D, i], out[TERMINAL_FRAUD_RATE_7D, i] = count_and_rate(end - start7, frauds7)
        out[TERMINAL_TX_COUNT_30D, i], out[TERMINAL_FRAUD_RATE_30D, i] = count_and_rate(end - start30, frauds30)

        genuine = last_genuine(known, skip, end - 1, start30)
        runs[TERMINAL_DAYS_SINCE_GENUINE, i] = (now - occurred[genuine]) / DAY if genuine >= start30 else NO_SUCH_DAYS
        runs[TERMINAL_GENUINE_SINCE_FRAUD, i] = end - 1 - max(last, start30 - 1)
        if last < start30:
            no_run_into(runs, i)
        else:
            before = last_genuine(known, skip, last - 1, start30)
            run_into(occurred, total, now, before, start30, last, runs, i)


@register_jitable
def from_big_endian(word: Any) -> Any:
    """A big-endian int64 that was read as a little-endian uint64."""
    pairs, quads = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
    word = ((word & pairs) << np.uint64(8)) | ((word >> np.uint64(8)) & pairs)
    word = ((word & quads) << np.uint64(16)) | ((word >> np.uint64(16)) & quads)
    return np.int64((word << np.uint64(32)) | (word >> np.uint64(32)))


@register_jitable
def unpack(words: Array, starts: Array) -> Any:
    """Arrays of packed histories, one after another: entity, occurred, cents and reported of each entry.

    History s is `words[starts[s] : starts[s + 1]]`: its floor, then three words an entry. A customer's entry has its
    cents alone, so they are read like a terminal's, and its `reported` means nothing.
    """
    n = (len(words) - len(starts) + 1) // 3
    entity, occurred = np.empty(n, np.int64), np.empty(n, np.int64)
    cents, reported = np.empty(n, np.int64), np.empty(n, np.int64)
    k = 0
    for s in range(len(starts) - 1):
        for at in range(starts[s] + 1, starts[s + 1], 3):
            value = from_big_endian(words[at + 2])
            entity[k] = s
            occurred[k] = from_big_endian(words[at])
            cents[k] = value & (2**CENTS_BITS - 1)
            reported[k] = value >> CENTS_BITS
            if reported[k] == NOT_REPORTED:
                reported[k] = NEVER
            k += 1
    return entity, occurred, cents, reported


def online(words: Array, starts: Array, payments: Array, transitions: Array, offsets: Array) -> Any:
    """All features of payments from the bytes of their packed histories, as uint64; see `unpack`.

    `payments` has shape (m, 6): the number of the customer's history and the index of the payment's entry there, the
    same of the terminal's, second and cents. Returns the features, shape (m, 32), and whether each payment's histories
    start after its horizon, shape (m,).
    """
    m = len(payments)
    second, amount = payments[:, 4].copy(), payments[:, 5].copy()
    customer, terminal, degraded = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m, np.bool_)
    for j in range(m):
        of_customer, of_terminal = starts[payments[j, 0]], starts[payments[j, 2]]
        # A history has one word, its floor, beside its entries.
        customer[j] = (of_customer - payments[j, 0]) // 3 + payments[j, 1]
        terminal[j] = (of_terminal - payments[j, 2]) // 3 + payments[j, 3]
        degraded[j] = (
            from_big_endian(words[of_customer]) > second[j] - CUSTOMER_HORIZON
            or from_big_endian(words[of_terminal]) > second[j] - TERMINAL_HORIZON
        )
    out, matrix = np.empty((N_FEATURES, m)), np.empty((m, N_FEATURES))
    entity, occurred, cents, reported = unpack(words, starts)
    payment_into(second, amount, transitions, offsets, out[0:3])
    customer_into(entity, occurred, cents, customer, out[3:9], out[15:25])
    terminal_into(entity, occurred, cents, reported, terminal, out[9:15], out[25:32])
    for j in range(m):
        for feature in range(N_FEATURES):
            matrix[j, feature] = out[feature, j]
    return matrix, degraded

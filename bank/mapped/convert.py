"""Turn rows of a mapped file into payments, refunds and rejected rows: each row becomes exactly one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.feed import BATCH_SCHEMA, INSTANT, REFUND_SCHEMA
from bank.mapped.amounts import amounts
from bank.mapped.currency import Rates, to_home
from bank.mapped.ids import HASHED, IdKey, id_texts, numbers_of
from bank.mapped.labels import fraud_labels, kinds_of
from bank.mapped.problems import EXAMPLES, Example, Mask, Problem, Tally, masked_id, masked_text
from bank.mapped.readers import Rows
from bank.mapped.text import joined, mask_of
from bank.mapped.times import instants
from bank.mapping import DataMap
from contracts.labels import LABEL_DELAY
from contracts.transaction import MAX_AMOUNT_CENTS, MAX_CLOCK_SKEW

ANY_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)
IDS: Final = ("transaction_id", "customer_id", "terminal_id")
ROUNDED: Final = "amounts with more than two decimals, rounded to the nearest cent, halves to the even one"
NEGATIVE: Final = "negative amounts without a kind, read as refunds"
CONVERTED: Final = "amounts converted from another currency"
TOO_EARLY: Final = "reports dated before their payment, read as made after the label delay"
TOO_LATE: Final = "reports dated in the future, read as made after the label delay"
MAX_FOREIGN_CENTS: Final = 10**14
NO_LABEL: Final = "payments without a label, read as unknown"


@dataclass(frozen=True)
class Converted:
    """The rows of a table: payments in `BATCH_SCHEMA`, refunds in `REFUND_SCHEMA`, and the hashes of their ids."""

    payments: pa.Table
    refunds: pa.Table
    hashed: pa.Table


@dataclass
class _Work:
    """What is known of some rows so far, and their problems in the order in which they count."""

    rows: Rows
    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Converter:
    """Converts the rows of one source by a map. Without a key ids are left out, for example for counting."""

    mapping: DataMap
    now: datetime
    rates: Rates | None = None
    key: IdKey | None = None

    def convert(self, rows: Rows, file: str, tally: Tally, first_id: int = 0) -> Converted:
        """Convert rows and add them to `tally`; `first_id` is the id of row 0 where payments are numbered."""
        work = _Work(rows)
        ids = {ours: self._id_text(work, ours) for ours in (*IDS, "refund_of")}
        cents, kinds, micros = self._value(work)
        fraud, reported = self._labels(work, micros)
        refused = self._refuse(work, file, tally)
        payment = ~refused & (kinds == "payment")
        refund = ~refused & ~payment
        numbers, hashed = self._numbers(ids, rows, first_id)
        columns: dict[str, pa.Array] = {
            "source_row": pa.array(rows.numbers),
            **numbers,
            "amount": pa.array(np.abs(cents) / 100),
            "occurred_at": pa.array(micros).cast(INSTANT),
            "arrived_at": pa.array(micros).cast(INSTANT),
            "fraud": fraud,
            "pattern": pa.nulls(len(refused), pa.int64()),
            "reported_at": reported,
            "kind": pa.array(kinds.tolist(), pa.string()),
        }
        payments, refunds = _chosen(columns, BATCH_SCHEMA, payment), _chosen(columns, REFUND_SCHEMA, refund)
        if self.mapping.columns.reported_at is not None:
            payments = payments.append_column("reported_at", reported.filter(pa.array(payment)))
        _count(tally, work, payments, refunds, ~refused)
        return Converted(payments, refunds, hashed)

    def _columns(self, work: _Work, ours: str) -> list[pa.Array]:
        names = self.mapping.columns.theirs.get(ours, ())
        return [work.rows.table[name].combine_chunks() for name in names]

    def _id_text(self, work: _Work, ours: str) -> pa.Array | None:
        columns = self._columns(work, ours)
        if not columns:
            return None
        texts, problems = id_texts(columns, ours)
        # A refund may not name its payment.
        work.problems += problems if ours in IDS else []
        return texts

    def _value(self, work: _Work) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.int64]]:
        """Cents, kinds and instants."""
        mapping = self.mapping
        times = instants(self._columns(work, "occurred_at"), "occurred_at", mapping.time, self.now)
        # In other currencies the limit holds after conversion.
        most = MAX_AMOUNT_CENTS if self.rates is None else MAX_FOREIGN_CENTS
        read = amounts(self._columns(work, "amount")[0], mapping.format, most)
        work.problems += [*times.problems, *read.problems]
        work.notes |= {ROUNDED: read.rounded, **times.notes}
        cents = read.cents
        if self.rates is not None:
            currency = self._columns(work, "currency")[0]
            cents, converted, problems = to_home(cents, currency, times.micros, self.rates)
            work.problems += problems
            work.notes[CONVERTED] = converted
            work.problems.append(_too_high(cents))
        return cents, self._kinds(work, cents), times.micros

    def _kinds(self, work: _Work, cents: NDArray[np.int64]) -> NDArray[np.object_]:
        columns = self._columns(work, "kind")
        if not columns:
            work.notes[NEGATIVE] = cents < 0
            return np.where(cents < 0, "refund", "payment").astype(object)
        found, problems = kinds_of(columns[0], self.mapping.values.kind)
        kinds = np.array(found.to_pylist(), dtype=object)
        negative = (kinds == "payment") & (cents < 0)
        remedy = 'map the kind of these rows to "refund" below [values]'
        work.problems += [*problems, Problem("amount: a negative payment", "amount", negative, remedy)]
        return kinds

    def _labels(self, work: _Work, micros: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        """Whether each row is a fraud, and when that was reported."""
        size = len(work.rows.numbers)
        columns = self._columns(work, "fraud")
        if not columns:
            return pa.nulls(size, pa.bool_()), pa.nulls(size, INSTANT)
        fraud, problems = fraud_labels(columns[0], self.mapping.values.fraud)
        work.problems += problems
        work.notes[NO_LABEL] = mask_of(pc.is_null(joined(columns))) & mask_of(pc.is_null(fraud))
        return fraud, self._reported(work, micros, mask_of(fraud))

    def _reported(self, work: _Work, micros: NDArray[np.int64], fraud: Mask) -> pa.Array:
        columns = self._columns(work, "reported_at")
        if not columns:
            return pa.nulls(len(micros), INSTANT)
        times = instants(columns, "reported_at", self.mapping.time, ANY_TIME)
        unreadable = [one for one in times.problems if one.reason == "reported_at: not a time"]
        work.problems += [Problem(one.reason, one.column, one.rows & fraud, one.remedy) for one in unreadable]
        early = times.present & (times.micros < micros)
        work.notes[TOO_EARLY] = early & fraud
        # A stand-in such as 9999-12-31: a report that never lands would make its fraud genuine.
        late = times.present & (times.micros > int((self.now + MAX_CLOCK_SKEW).timestamp() * 1_000_000))
        work.notes[TOO_LATE] = late & fraud
        delayed = micros + LABEL_DELAY * 1_000_000
        reported = np.where(times.present & ~early & ~late, times.micros, delayed)
        return pa.array(reported).cast(INSTANT)

    def _numbers(
        self, ids: dict[str, pa.Array | None], rows: Rows, first_id: int
    ) -> tuple[dict[str, pa.Array], pa.Table]:
        """The ids as numbers, and the hashes among them."""
        numbers: dict[str, pa.Array] = {}
        hashed = [HASHED.empty_table()]
        for ours, texts in ids.items():
            if texts is None and ours == "transaction_id":
                numbers[ours] = pa.array(first_id + rows.numbers)
            elif texts is None or self.key is None:
                numbers[ours] = pa.nulls(len(rows.numbers), pa.int64())
            else:
                kind = "transaction_id" if ours == "refund_of" else ours
                found = numbers_of(texts, kind, self.key)
                numbers[ours] = pa.array(found.values, mask=mask_of(pc.is_null(texts)))
                hashed.append(found.hashed)
        return numbers, pa.concat_tables(hashed)

    def _refuse(self, work: _Work, file: str, tally: Tally) -> Mask:
        """The rows with a problem, each counted under its first one."""
        refused = np.zeros(len(work.rows.numbers), bool)
        for problem in work.problems:
            rows = np.flatnonzero(problem.rows & ~refused)
            if len(rows):
                known = len(tally.examples.get(problem.reason, ()))
                shown = rows[: EXAMPLES - known]
                tally.refuse(problem.reason, len(rows), [self._example(work, file, problem, row) for row in shown])
                refused[rows] = True
        return refused

    def _example(self, work: _Work, file: str, problem: Problem, row: int) -> Example:
        names = self.mapping.columns.theirs.get(problem.column, (problem.column,))
        mask = masked_id if problem.column in (*IDS, "refund_of") else masked_text
        values = [column[row].as_py() for column in self._columns(work, problem.column)]
        shown = " ".join("(nothing)" if value is None else mask(str(value).strip()) for value in values)
        return Example(file, int(work.rows.numbers[row]) + 1, ", ".join(names), shown or "(nothing)", problem.remedy)


def _too_high(cents: NDArray[np.int64]) -> Problem:
    return Problem("amount: above 1,000,000.00", "amount", np.abs(cents) > MAX_AMOUNT_CENTS, "check the table of rates")


def _chosen(columns: dict[str, pa.Array], schema: pa.Schema, rows: Mask) -> pa.Table:
    whole = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    return whole.filter(pa.array(rows))


def _count(tally: Tally, work: _Work, payments: pa.Table, refunds: pa.Table, kept: Mask) -> None:
    tally.rows += len(kept)
    tally.payments += len(payments)
    tally.refunds += len(refunds)
    tally.unknown_labels += payments["fraud"].null_count
    tally.frauds += pc.sum(payments["fraud"]).as_py() or 0
    for note, rows in work.notes.items():
        if number := int((rows & kept).sum()):
            tally.notes[note] += number


def check_columns(names: Sequence[str], mapping: DataMap) -> list[str]:
    """The mapped columns that a file does not have."""
    return [name for theirs in mapping.columns.theirs.values() for name in theirs if name not in names]

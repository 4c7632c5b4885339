"""Small worlds with repeated ids, played through both sides: what differs rightly is counted separately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.features import FEATURES
from contracts.labels import DAY
from spark_jobs.compare_decisions import compare
from spark_jobs.known_differences import PAYMENT, Causes, Table, nothing, payments
from tests import feature_definitions
from tests.feature_definitions import literal_features

START = 20_000 * DAY
"""The first second of the live days; what arrived before is history."""
BACK = [40 * DAY, 37 * DAY, 8 * DAY, DAY, 7]
OFFSETS = [0, 1, 2, DAY - 1, DAY, 7 * DAY, 8 * DAY]


@dataclass(frozen=True)
class Row:
    """A landed row that meets the contract; `source` is the number of its source."""

    number: int
    customer: int
    terminal: int
    cents: int
    second: int
    arrived: int
    source: int
    row: int
    scored: bool = True
    """Whether the bank sends it to the scorer; False for a row that landed by another file."""

    @property
    def payload(self) -> tuple[int, ...]:
        return self.number, self.customer, self.terminal, self.second, self.cents

    @property
    def order(self) -> tuple[int, ...]:
        return self.arrived, self.number, self.source, self.row

    def known(self, reported: int | None = None) -> feature_definitions.Payment:
        at = feature_definitions.NEVER if reported is None else reported
        return feature_definitions.Payment(self.number, self.customer, self.terminal, self.cents, self.second, at)


@dataclass(frozen=True)
class Decision:
    row: Row
    applied: int
    features: dict[str, float]


def kept_by_spark(rows: Iterable[Row]) -> dict[int, Row]:
    """The first row of each id, as validation keeps it."""
    kept: dict[int, Row] = {}
    for row in sorted(rows, key=lambda one: (one.arrived, one.source, one.row)):
        kept.setdefault(row.number, row)
    return kept


def scored(rows: Sequence[Row], reports: dict[int, int]) -> list[Decision]:
    """What the scorer decides: it has the lake's history, and of the live payments with one id the first it gets."""
    state = list(kept_by_spark(row for row in rows if row.arrived < START).values())
    reported: dict[int, int] = {}
    decisions: dict[int, Decision] = {}
    events: list[tuple[tuple[int, ...], Row | None, int]] = [
        ((row.arrived, 1, *row.order), row, row.number) for row in rows if row.arrived >= START and row.scored
    ]
    events += [((second, 0), None, number) for number, second in reports.items()]
    for place, row, number in sorted(events, key=lambda event: event[0]):
        if row is None:
            # It finds the scored payment of this id before one of the lake.
            found = [at for at, one in enumerate(state) if one.number == number]
            reported |= {found[-1]: place[0]} if found else {}
        elif number not in decisions:
            state.append(row)
            seen = [one.known(reported.get(at)) for at, one in enumerate(state)]
            decisions[number] = Decision(row, len(decisions) + 1, as_floats(seen, seen[-1]))
    return list(decisions.values())


def as_floats(seen: list[feature_definitions.Payment], one: feature_definitions.Payment) -> dict[str, float]:
    return {name: float(value) for name, value in literal_features(seen, one).items()}


def table(rows: Iterable[Row]) -> dict[str, np.ndarray]:
    columns = list(zip(*(row.payload for row in rows), strict=True))
    return {name: np.array(column) for name, column in zip(PAYMENT, columns, strict=True)} if columns else nothing()


def both_sides(
    rows: Sequence[Row], reports: dict[int, int], decisions: Sequence[Decision]
) -> tuple[Table, Table, Causes]:
    """The decision log, the lake's features of the live days, and what explains differences."""
    kept = kept_by_spark(rows)
    clean = [row.known(reports.get(row.number)) for row in kept.values()]
    live = [one for one in clean if one.occurred >= START]
    lake: dict[str, np.ndarray] = {"transaction_id": np.array([one.transaction_id for one in live], dtype=np.int64)}
    found = [as_floats(clean, one) for one in live]
    decided = dict(table(one.row for one in decisions))
    decided["applied"] = np.array([one.applied for one in decisions], dtype=np.int64)
    decided["degraded"] = np.zeros(len(decisions), dtype=bool)
    for name in FEATURES:
        lake[name] = np.array([one[name] for one in found])
        decided[name] = np.array([one.features[name] for one in decisions])
    repeated = [row for row in rows if kept[row.number] is not row]
    ids = {row.number for row in repeated}
    causes = Causes(
        quarantined=table(repeated),
        kept=table(row for row in kept.values() if row.number in ids),
        elsewhere=np.empty(0, dtype=np.int64),
        unscored=nothing(),
    )
    return decided, lake, causes


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Row], dict[int, int]]:
    """Rows of history and of live days, few ids, customers and terminals; some are exact copies of others."""
    few = st.integers(1, 2)
    second = st.one_of(
        st.sampled_from([START - back for back in BACK]), st.sampled_from([START + offset for offset in OFFSETS])
    )
    rows: list[Row] = []
    for place in range(draw(st.integers(1, 9))):
        at = draw(second)
        late = draw(st.sampled_from([0, 0, 0, 3])) if at >= START else 0
        cents = draw(st.sampled_from([100, 250, 9_000]))
        row = Row(draw(st.integers(1, 5)), draw(few), draw(few), cents, at, at + late, draw(few), place)
        if rows and draw(st.booleans()):
            copied = draw(st.sampled_from(rows))
            row = replace(copied, source=draw(few), row=place)
        rows.append(row)
    reported = draw(st.dictionaries(st.integers(1, 5), st.sampled_from(OFFSETS), max_size=2))
    first = {row.number: max(one.arrived for one in rows if one.number == row.number) for row in rows}
    return rows, {number: max(START, first[number]) + after for number, after in reported.items() if number in first}


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_nothing_differs_but_what_a_repeated_id_explains(world: tuple[list[Row], dict[int, int]]) -> None:
    rows, reports = world
    decisions = scored(rows, reports)
    decided, lake, causes = both_sides(rows, reports, decisions)
    counts, lines = compare(decided, lake, START, causes)
    assert (counts["mismatches"], counts["missing"], lines) == (0, 0, [])
    kept = {row.payload for row in kept_by_spark(rows).values()}
    of_others = [one.row.number for one in decisions if one.row.payload not in kept]
    assert counts["repeated_ids"] >= len(of_others)
    if not of_others:
        assert counts["repeated_ids"] == 0
    assert sum(counts.values()) == len({*lake["transaction_id"].tolist(), *of_others})


@given(worlds(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_wrong_feature_is_found_unless_a_repeat_may_explain_it(
    world: tuple[list[Row], dict[int, int]], data: st.DataObject
) -> None:
    """Repeats that the scorer treats like Spark explain nothing."""
    rows, reports = world
    decisions = scored(rows, reports)
    decided, lake, causes = both_sides(rows, reports, decisions)
    kept = {row.payload for row in kept_by_spark(rows).values()}
    before, _ = compare(decided, lake, START, causes)
    if any(one.row.payload not in kept for one in decisions) or not before["compared"]:
        return
    wrong = data.draw(st.integers(0, len(decisions) - 1))
    decided["amount"][wrong] += 1  # type: ignore[index]
    after, _ = compare(decided, lake, START, causes)
    assert after["mismatches"] == 1 or before["touched_by_late"]
    assert after["repeated_ids"] == 0


def plain(number: int, customer: int, second: int, source: int = 1, cents: int = 100, **more: int | bool) -> Row:
    return Row(number, customer, 1, cents, second, second, source, second % 10_000 + 1, **more)  # type: ignore[arg-type]


def test_an_id_that_another_customer_has_in_the_history() -> None:
    """The case of the report: one payment quarantined, and those after it of its customer differ."""
    others = [plain(n, 2, START + 100 + n) for n in range(2, 6)]
    rows = [plain(1, 1, START - DAY), plain(1, 2, START + 50), *others, plain(9, 1, START + 60)]
    decided, lake, causes = both_sides(rows, {}, scored(rows, {}))
    counts, _ = compare(decided, lake, START, causes)
    assert counts == {
        "compared": 1, "mismatches": 0, "missing": 0, "touched_by_late": 0, "degraded": 0, "repeated_ids": 5
    }  # fmt: skip
    without, lines = compare(decided, lake, START)
    assert (without["mismatches"], without["missing"]) == (4, 1)
    assert lines


def test_an_id_that_was_scored_and_then_landed_by_another_file_with_an_earlier_arrival() -> None:
    rows = [plain(1, 1, START + 10), plain(2, 1, START + 20), plain(1, 2, START + 5, source=2, scored=False)]
    rows.append(plain(3, 2, START + 30))
    decided, lake, causes = both_sides(rows, {}, scored(rows, {}))
    counts, _ = compare(decided, lake, START, causes)
    # Payments 2 and 3 follow one that only one side has.
    assert (counts["mismatches"], counts["missing"], counts["repeated_ids"]) == (0, 0, 3)


def test_the_payment_that_the_lake_kept_may_be_on_another_day_than_the_decision() -> None:
    rows = [plain(1, 1, START + DAY), plain(1, 2, START + 5, source=2, scored=False)]
    decided, lake, causes = both_sides(rows, {}, scored(rows, {}))
    counts, _ = compare(decided, lake, START, causes)
    assert (counts["missing"], counts["repeated_ids"]) == (0, 1)
    # Compared alone, the lake's day has no decision; the log has one elsewhere.
    none = {name: values[:0] for name, values in decided.items()}
    assert compare(none, lake, START, causes)[0]["missing"] == 1
    counts, _ = compare(none, lake, START, replace(causes, elsewhere=np.array([1])))
    assert (counts["missing"], counts["repeated_ids"]) == (0, 1)


def test_a_decision_that_is_in_no_row_of_the_bank_is_missing_also_if_its_id_is_repeated() -> None:
    rows = [plain(1, 1, START - DAY), plain(1, 2, START + 50)]
    decided, lake, causes = both_sides(rows, {}, scored(rows, {}))
    decided["cents"][0] += 1  # type: ignore[index]
    assert compare(decided, lake, START, causes)[0]["missing"] == 1


def test_a_late_row_that_the_scorer_never_got_explains_what_comes_after_it() -> None:
    late = replace(plain(1, 1, START + 5, scored=False), arrived=START + 3 * DAY)
    rows = [late, plain(2, 1, START + 20), plain(3, 2, START + 30), plain(4, 1, START + DAY)]
    decided, lake, causes = both_sides(rows, {}, scored(rows, {}))
    assert compare(decided, lake, START, causes)[0]["mismatches"] == 2
    counts, _ = compare(decided, lake, START, replace(causes, unscored=table([late])))
    assert (counts["mismatches"], counts["touched_by_late"], counts["missing"]) == (0, 2, 1)
    assert len(payments(table([late]))) == 1

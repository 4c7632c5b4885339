"""Checks `inflations`: with a score that inspects its arguments, then with a real model on a simulated bank."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from exercises.expect import Description, expect, show
from exercises.leaks import (
    FEATURES,
    NONE,
    average_precision,
    few_payments,
    reference,
    simulated_bank,
    split_in_time,
    thin_out,
    times_between,
)

LEAKS = ("random_split", "forward_shift", "thinned_first", "balance_after")
CALL = "inflations(payments, trained_at, score)"
TOLERANCE = 0.05
"""Tolerance of average precision: another order of rows or columns can grow other trees. Mistakes are further off."""
RANDOM_TOLERANCE = 0.12
"""The tolerance for `random_split`: another random draw is as good."""

refuse = partial(expect, same=lambda *_: False)


@dataclass
class Look:
    """A score that recognises its arguments, and returns an artificial number for each combination."""

    payments: pd.DataFrame
    trained_at: int
    made_up: dict[str, float]
    asked: list[str] = field(default_factory=list)

    def __call__(self, training: Any, test: Any, features: Any) -> float:
        """The number of what these are."""
        for name, table in (("training", training), ("test", test)):
            if not isinstance(table, pd.DataFrame):
                refuse(
                    f"score's {name}",
                    table,
                    Description("a table of payments"),
                    "score takes (training, test, features).",
                )
            if "transaction_id" not in table:
                actual = Description(f"{len(table)} rows with the columns {show(list(table))}")
                refuse(f"score's {name}", actual, Description("whole rows of payments"), CUT)
        split, thinned = self._rows(training, test)
        added = self._columns(training, test, features)
        self.asked.append(f"{split}, {thinned}, {added}")
        known = self.made_up["honest"] + sum(self.made_up[what] for what in (split, thinned, added))
        # Two leaks at once are worth what neither says.
        return known if sum(what in self.made_up["leaks"] for what in (split, thinned, added)) < 2 else known / 3

    def _rows(self, training: pd.DataFrame, test: pd.DataFrame) -> tuple[str, str]:
        given = [frozenset(table["transaction_id"].tolist()) for table in (training, test)]
        windows = split_in_time(self.payments, self.trained_at)
        whole = [frozenset(table["transaction_id"].tolist()) for table in windows]
        thin = [frozenset(thin_out(table)["transaction_id"].tolist()) for table in windows]
        for thinned, wanted in {"whole": whole, "training": [thin[0], whole[1]], "both": thin}.items():
            if given == wanted:
                return "in time", thinned
        call = "score(training, test, ...)"
        actual = Description(f"{len(training)} and {len(test)} payments, {len(given[0] & given[1])} of them in both")
        if len(given[0]) + len(given[1]) < len(training) + len(test):
            why = "A payment appears twice. Each helper returns every payment once."
        elif given == whole[::-1]:
            why = "Training and test are swapped: score takes (training, test, features)."
        elif given == [whole[0], thin[1]]:
            why = (
                "Only the test is thinned out. Thin out the training window for the honest score, and both for the "
                "leaky one."
            )
        elif given[0] & given[1]:
            why = "A payment is in both training and test. A model must not be tested on its training data."
        elif given[0] | given[1] == whole[0] | whole[1] and len(given[1]) == len(whole[1]):
            return "at random", "whole"
        elif given[0] | given[1] == whole[0] | whole[1]:
            why = (
                "The random split has different sizes from the one in time. Change one thing at a time: use "
                "`split_at_random`."
            )
        elif given[0] <= whole[0] and given[1] <= whole[1]:
            why = (
                "The split is the one in time, but payments are missing that `thin_out` does not remove. Pass all "
                "payments of a window, or `thin_out` of them: no `dropna`, no other sample."
            )
        elif given[0] | given[1] <= whole[0] | whole[1]:
            why = "You thinned out payments split at random. Change one thing at a time: here use the split in time."
        else:
            why = "These payments match neither split. Use `split_in_time` and `split_at_random`, with `trained_at`."
        refuse(call, actual, Description(f"{len(whole[0])} and {len(whole[1])} payments, or thinned"), why)
        return "", ""

    def _columns(self, training: pd.DataFrame, test: pd.DataFrame, features: Any) -> str:
        """What was added to `FEATURES`, told by its values."""
        names = list(features) if isinstance(features, list | tuple | pd.Index | np.ndarray) else []
        missing = [name for name in FEATURES if name not in names]
        absent = [name for name in names if name not in training or name not in test]
        if missing or absent or len(set(names)) < len(names):
            refuse(
                "score(..., features)",
                features,
                Description("FEATURES, and a column of the tables or none more"),
                "Pass all of FEATURES and the added column, as one list of columns that both tables have.",
            )
        no_features = [name for name in names if name in NO_FEATURES]
        if no_features:
            refuse("score(..., features)", no_features, Description("none of these in features"), NO_FEATURE)
        both = pd.concat([training, test])
        added = " and ".join(sorted(self._column(name, both) for name in names if name not in FEATURES)) or "nothing"
        if added not in self.made_up:
            refuse(
                "score(..., features)",
                Description(f"FEATURES, {added}"),
                Description("FEATURES and one thing more"),
                TWO_ADDED,
            )
        return added

    def _column(self, name: str, table: pd.DataFrame) -> str:
        if name == "balance_after":
            return name
        actual = table[["transaction_id", name]].set_index("transaction_id")[name].astype(float).sort_index()
        why = "This is neither the time since the customer's previous payment nor the time until the next."
        for kind, values in self._times.items():
            wanted = values.loc[actual.index]
            there = wanted != NONE
            scale = (actual[there] / wanted[there]).round(9)
            # Hours are as good as seconds; what is missing must be as agreed.
            as_good = scale.nunique() == 1 and scale.iloc[0] > 0
            if as_good and kind not in SLIPS and not (actual[~there] == NONE).all():
                why = "The times are right, but must be NONE where a customer has no previous or next payment."
            elif as_good and (actual[~there] == NONE).all():
                if kind in SLIPS:
                    right = self._times[kind.split()[-1]].loc[actual.index]
                    differ = actual != right
                    call = f"score(..., features with {name!r}), some of it by transaction_id"
                    refuse(call, actual[differ].head(4).to_dict(), right[differ].head(4).to_dict(), SLIPS[kind])
                return kind
        if any(self._is_unsorted(actual, kind) for kind in self._times if kind.startswith("unsorted")):
            why = UNSORTED
        elif actual.isna().any():
            why = "There is NaN where a customer has no previous or next payment. Fill it with NONE."
        elif (actual[actual != NONE] < 0).any():
            why = "Some times are negative. Subtract the earlier from the later."
        right = self._times["since_previous"].loc[actual.index]
        wanted = Description(f"time since the previous payment, {show(right.tolist())}, or until the next")
        refuse(f"score(..., features with {name!r})", actual.tolist(), wanted, why)
        return ""

    def _is_unsorted(self, actual: pd.Series, kind: str) -> bool:
        """Whether these are the times between neighbours as the rows came, with whatever sign and fill."""
        wanted = self._times[kind].loc[actual.index]
        there = wanted != NONE
        return bool((actual[there] / wanted[there]).abs().round(9).nunique() == 1)

    @cached_property
    def _times(self) -> dict[str, pd.Series]:
        """Columns of times by kind, each by transaction_id, in seconds; those of `SLIPS` are mistakes."""
        windows = pd.concat([times_between(part) for part in split_in_time(self.payments, self.trained_at)])
        anyone = times_between(self.payments.assign(customer_id=0))
        onwards = times_between(self.payments, within_customers=False)
        unsorted = times_between(self.payments, in_time=False)
        found = {}
        for column in ("since_previous", "until_next"):
            found[column] = times_between(self.payments)[column]
            found[f"per window {column}"] = windows[column]
            found[f"any customer {column}"] = anyone[column]
            found[f"on to the next customer {column}"] = onwards[column]
            found[f"unsorted {column}"] = unsorted[column]
        return found


NO_FEATURES = ("transaction_id", "occurred", "fraud")
NO_FEATURE = (
    "`fraud` is the label, and `transaction_id` and `occurred` identify the payment: none is a feature here. Did you "
    "pass all columns of the table? Pass FEATURES and the added column."
)
CUT = (
    "The column `transaction_id`, which the check needs, is missing. Pass whole rows: `features` lists the columns "
    "that the model sees."
)
TWO_ADDED = (
    "More than one column was added, so their effects cannot be separated. Add one at a time. Or was FEATURES itself "
    "modified? `append` and `+=` change it for all later calls."
)
PER_WINDOW = (
    "You added the column after the split, so the first payments of the test have lost their past. A payment's past is "
    "not a leak: add the column to all payments, then split."
)
ANY_CUSTOMER = (
    "The previous or next payment belongs to another customer. Shift within each customer: group by `customer_id`."
)
UNSORTED = "Payments come in any order, so the previous row is not the previous payment. Sort them by time first."
SLIPS = {
    f"{slip} {column}": says
    for slip, says in {
        "per window": PER_WINDOW,
        "any customer": ANY_CUSTOMER,
        "on to the next customer": ANY_CUSTOMER,
        "unsorted": UNSORTED,
    }.items()
    for column in ("since_previous", "until_next")
}


def test_what_is_compared(answer):
    for base in (0.5, 0.41):
        # Two sets of numbers, so that they cannot be guessed. In the second, one leak lowers the score.
        shift = base - 0.5
        made_up: dict[str, Any] = {
            "honest": base,
            "in time": 0.0,
            "whole": 0.0,
            "nothing": 0.0,
            "at random": 0.30 + shift,
            "since_previous": 0.02,
            "until_next": 0.35 + shift,
            "since_previous and until_next": 0.39 + shift,
            "training": -0.05,
            "both": 0.20 + shift,
            "balance_after": 0.25 + 4 * shift,
            "leaks": {"at random", "since_previous", "until_next", "training", "both", "balance_after"},
        }
        payments, trained_at = few_payments()
        look = Look(payments, trained_at, made_up)
        actual = _inflations(answer, payments, trained_at, look)
        if not look.asked:
            refuse(
                CALL, actual, Description("answers of score"), "You did not call `score`. Every number comes from it."
            )
        honest, ahead, behind = base, made_up["until_next"], made_up["since_previous"]
        right = {
            "random_split": made_up["at random"],
            "forward_shift": ahead - behind,
            "thinned_first": made_up["both"] - made_up["training"],
            "balance_after": made_up["balance_after"],
        }
        expected = {name: round(value, 9) for name, value in right.items()}
        mistakes = {
            "forward_shift": [
                (
                    ahead,
                    "You compared the leaky column with no column at all. The honest counterpart has the time since "
                    "the previous payment instead, so that only the direction differs.",
                ),
                (
                    made_up["since_previous and until_next"] - behind,
                    "The leaky model sees both times. Replace one by the other.",
                ),
                (
                    behind - ahead,
                    "It is reversed: shift(1) gives the previous row, which is the past; shift(-1) gives the next one, "
                    "which is the future.",
                ),
            ],
            "thinned_first": [
                (
                    made_up["both"],
                    "You changed two things: the honest model was trained on all payments, the leaky one on few. Thin "
                    "out the training window for both, and the test only for the leaky one.",
                ),
                (
                    made_up["training"],
                    "This compares thinned training with full training, and both tests are full: that is not a leak. "
                    "The leak is a thinned-out test.",
                ),
            ],
        }
        for name in LEAKS:
            expect(
                f"{CALL}[{name!r}], with a score that answers {base} for the honest split",
                actual[name],
                expected[name],
                "Return the leaky score minus the honest score, where only one thing differs. You called score for "
                f"(split, thinned, added): {'; '.join(dict.fromkeys(look.asked))}.",
                mistakes=[
                    *mistakes.get(name, []),
                    (
                        lambda value, right=expected[name]: right < 0 and value in (0, -right),
                        "A leak can also lower the score. Return each difference unchanged, without `abs` or `max`.",
                    ),
                    (-expected[name], "The sign is reversed: inflation is the leaky score minus the honest one."),
                    (expected[name] + honest, "That is the leaky score itself. Subtract the honest one."),
                    (lambda value: value == 0, "Leaky and honest are the same here. Which of the two is leaky?"),
                ],
            )


def test_agrees_with_production(answer):
    payments, trained_at = simulated_bank()
    actual = _inflations(answer, payments, trained_at, average_precision)
    for name, wanted in reference().items():
        tolerance = RANDOM_TOLERANCE if name == "random_split" else TOLERANCE
        expect(
            f"inflations(of {len(payments):,} simulated payments)[{name!r}], with boosted trees",
            actual[name],
            wanted,
            "With the pipeline's own trees and average precision, this leak adds a different amount. Did anything else "
            "change?",
            mistakes=[(lambda value: value <= 0, "The inflation of this leak is above 0 here.")],
            same=partial(math.isclose, abs_tol=tolerance),
        )


def _inflations(answer, payments: pd.DataFrame, trained_at: int, score) -> dict[str, float]:
    """The four numbers. Says so where they are none."""
    actual = answer.inflations(payments.copy(), trained_at, score)
    names = Description(", ".join(LEAKS))
    if not isinstance(actual, dict) or set(actual) != set(LEAKS):
        refuse(
            f"keys of {CALL}",
            list(actual) if isinstance(actual, dict) else actual,
            names,
            "Return a dict of these names.",
        )
    for name, value in actual.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            refuse(
                f"{CALL}[{name!r}]",
                value,
                Description("a number"),
                "Each inflation must be one number, a difference.",
            )
    return {name: round(float(value), 9) for name, value in actual.items()}

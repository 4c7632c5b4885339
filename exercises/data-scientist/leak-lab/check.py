"""Checks `inflations`: with a score that looks at what it is given, then with a real model on a simulated bank."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, partial
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from bank.simulator import Payments, Simulation, simulate
from contracts.features import BASE_FEATURES, customer_features, payment_features, terminal_features
from contracts.labels import DAY, LABEL_DELAY, NEVER
from exercises.expect import Said, expect, show
from modeling.evaluation.ranking import Ranking
from modeling.models.boosting import fit_boosted_trees

FEATURES = [*BASE_FEATURES, "customer_id", "terminal_id"]
LEAKS = ("random_split", "forward_shift", "thinned_first", "balance_after")
TEST_DAYS = 14
NONE = -1.0
TREES = {"learning_rate": 0.1, "max_iter": 25, "max_leaf_nodes": 8, "early_stopping": False, "random_state": 0}
CALLED = "inflations(payments, trained_at, score)"
TOLERANCE = 0.05
"""Of average precision: another order of rows or columns may make other trees. Each mistake is further off."""
RANDOM_TOLERANCE = 0.12
"""Another draw of the random split is as good."""

refuse = partial(expect, same=lambda *_: False)


@dataclass
class Look:
    """A score that tells what it is given by looking, and answers with a number made up for it."""

    payments: pd.DataFrame
    trained_at: int
    made_up: dict[str, float]
    asked: list[str] = field(default_factory=list)

    def __call__(self, training: Any, test: Any, features: Any) -> float:
        """The number of what these are."""
        for name, table in (("training", training), ("test", test)):
            if not isinstance(table, pd.DataFrame):
                refuse(f"score's {name}", table, Said("a table of payments"), "score takes (training, test, features).")
            if "transaction_id" not in table:
                came = Said(f"{len(table)} rows with the columns {show(list(table))}")
                refuse(f"score's {name}", came, Said("whole rows of payments"), CUT)
        split, thinned = self._rows(training, test)
        added = self._columns(training, test, features)
        self.asked.append(f"{split}, {thinned}, {added}")
        known = self.made_up["honest"] + sum(self.made_up[what] for what in (split, thinned, added))
        # Two leaks at once are worth what neither says.
        return known if sum(what in self.made_up["leaks"] for what in (split, thinned, added)) < 2 else known / 3

    def _rows(self, training: pd.DataFrame, test: pd.DataFrame) -> tuple[str, str]:
        given = [frozenset(table["transaction_id"].tolist()) for table in (training, test)]
        whole = [frozenset(table["transaction_id"].tolist()) for table in _split(self.payments, self.trained_at)]
        thin = [
            frozenset(_thinned(table)["transaction_id"].tolist()) for table in _split(self.payments, self.trained_at)
        ]
        for thinned, wanted in {"whole": whole, "training": [thin[0], whole[1]], "both": thin}.items():
            if given == wanted:
                return "in time", thinned
        called = "score(training, test, ...)"
        came = Said(f"{len(training)} and {len(test)} payments, {len(given[0] & given[1])} of them in both")
        if len(given[0]) + len(given[1]) < len(training) + len(test):
            why = "A payment is there twice. Each helper gives every payment once."
        elif given == whole[::-1]:
            why = "Training and test have changed places: score takes (training, test, features)."
        elif given == [whole[0], thin[1]]:
            why = "Only the test is thinned out. Thin out training in the honest way and both in the leaky one."
        elif given[0] & given[1]:
            why = "A payment is in training and in the test. Do you score a model on what it has learned?"
        elif given[0] | given[1] == whole[0] | whole[1] and len(given[1]) == len(whole[1]):
            return "at random", "whole"
        elif given[0] | given[1] == whole[0] | whole[1]:
            why = "The random split has other sizes than the one in time. Change one thing: use `split_at_random`."
        elif given[0] <= whole[0] and given[1] <= whole[1]:
            why = (
                "The split is the one in time, but payments are missing, and not those that `thin_out` leaves out. "
                "Give all payments of a window, or `thin_out` of them: no `dropna`, no sample of your own."
            )
        elif given[0] | given[1] <= whole[0] | whole[1]:
            why = (
                "You thinned out payments split at random. Leak one thing at a time: here the split is the one in time."
            )
        else:
            why = "These payments are of neither split. Use `split_in_time` and `split_at_random`, with `trained_at`."
        refuse(called, came, Said(f"{len(whole[0])} and {len(whole[1])} payments, or thinned"), why)
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
                Said("FEATURES, and a column of the tables or none more"),
                "Name all of FEATURES and what you add, as one list of columns that both tables have.",
            )
        no_features = [name for name in names if name in NO_FEATURES]
        if no_features:
            refuse("score(..., features)", no_features, Said("none of these in features"), NO_FEATURE)
        both = pd.concat([training, test])
        added = " and ".join(sorted(self._column(name, both) for name in names if name not in FEATURES)) or "nothing"
        if added not in self.made_up:
            refuse("score(..., features)", Said(f"FEATURES, {added}"), Said("FEATURES and one thing more"), TWO_ADDED)
        return added

    def _column(self, name: str, table: pd.DataFrame) -> str:
        if name == "balance_after":
            return name
        came = table[["transaction_id", name]].set_index("transaction_id")[name].astype(float).sort_index()
        why = "This is neither the time since the customer's previous payment nor that until the next."
        for kind, values in self._times.items():
            wanted = values.loc[came.index]
            there = wanted != NONE
            scale = (came[there] / wanted[there]).round(9)
            # Hours are as good as seconds; what is missing must be as agreed.
            as_good = scale.nunique() == 1 and scale.iloc[0] > 0
            if as_good and kind not in SLIPS and not (came[~there] == NONE).all():
                why = "The times are right, but where a customer has no payment before, or after, there must be NONE."
            elif as_good and (came[~there] == NONE).all():
                if kind in SLIPS:
                    right = self._times[kind.split()[-1]].loc[came.index]
                    differ = came != right
                    called = f"score(..., features with {name!r}), some of it by transaction_id"
                    refuse(called, came[differ].head(4).to_dict(), right[differ].head(4).to_dict(), SLIPS[kind])
                return kind
        if any(self._is_unsorted(came, kind) for kind in self._times if kind.startswith("unsorted")):
            why = UNSORTED
        elif came.isna().any():
            why = "There is NaN where a customer has no payment before, or after. Fill it with NONE."
        elif (came[came != NONE] < 0).any():
            why = "Some times are negative. Subtract the earlier from the later, so that each time is positive."
        right = self._times["since_previous"].loc[came.index]
        wanted = Said(f"time since the previous payment, {show(right.tolist())}, or until the next")
        refuse(f"score(..., features with {name!r})", came.tolist(), wanted, why)
        return ""

    def _is_unsorted(self, came: pd.Series, kind: str) -> bool:
        """Whether these are the times between neighbours as the rows came, with whatever sign and fill."""
        wanted = self._times[kind].loc[came.index]
        there = wanted != NONE
        return bool((came[there] / wanted[there]).abs().round(9).nunique() == 1)

    @cached_property
    def _times(self) -> dict[str, pd.Series]:
        """Columns of times by kind, each by transaction_id, in seconds; those of `SLIPS` are mistakes."""
        windows = pd.concat([_timed(part) for part in _split(self.payments, self.trained_at)])
        anyone = _timed(self.payments.assign(customer_id=0))
        onwards = _timed(self.payments, within_customers=False)
        unsorted = _timed(self.payments, in_time=False)
        found = {}
        for column in ("since_previous", "until_next"):
            found[column] = _timed(self.payments)[column]
            found[f"per window {column}"] = windows[column]
            found[f"any customer {column}"] = anyone[column]
            found[f"on to the next customer {column}"] = onwards[column]
            found[f"unsorted {column}"] = unsorted[column]
        return found


NO_FEATURES = ("transaction_id", "occurred", "fraud")
NO_FEATURE = (
    "`fraud` is the answer, and `transaction_id` and `occurred` only say which payment it is: none is a feature here. "
    "Did you hand over all columns of the table? Name FEATURES, and what you add."
)
CUT = (
    "The column `transaction_id` is missing, by which the check knows the payments. "
    "Hand over whole rows: `features` says which of the columns the model sees."
)
TWO_ADDED = (
    "More than one thing was added at once, so nobody can tell what each does. Add one at a time. "
    "Or has FEATURES itself changed? `append` and `+=` change it for all that follow."
)
PER_WINDOW = (
    "You added the column after the split, so the first payments of the test have lost their past. "
    "What lies before a payment is no leak: add the column to all payments, then split."
)
ANY_CUSTOMER = (
    "The payment before, or after, is one of another customer. Shift within each customer: group by `customer_id`."
)
UNSORTED = "Payments come in any order, so the row before is not the payment before. Sort them by time first."
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
        # Two sets of numbers, so that nobody knows them before. In the second, one leak lowers the score.
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
        payments, trained_at = _few()
        look = Look(payments, trained_at, made_up)
        came = _inflations(answer, payments, trained_at, look)
        if not look.asked:
            refuse(CALLED, came, Said("answers of score"), "You did not ask `score`. Every number comes from it.")
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
                    "You compared looking ahead with no such column at all. The honest counterpart has the time since "
                    "the previous payment in its place, so that the direction is all that differs.",
                ),
                (
                    made_up["since_previous and until_next"] - behind,
                    "The leaky model sees both times. Put one in the place of the other.",
                ),
                (
                    behind - ahead,
                    "It is the wrong way round: a shift of +1 brings the previous row down, which is the past; "
                    "a shift of -1 brings the next one up, which is the future.",
                ),
            ],
            "thinned_first": [
                (
                    made_up["both"],
                    "You changed two things: the honest model learned from all payments, the leaky one from few. "
                    "Thin out training in both, and the test only in the leaky one.",
                ),
                (
                    made_up["training"],
                    "This compares thinned training with whole training, and both tests are whole: that is no leak. "
                    "The leak is a test that was thinned out as well.",
                ),
            ],
        }
        for name in LEAKS:
            expect(
                f"{CALLED}[{name!r}], with a score that answers {base} for the honest split",
                came[name],
                expected[name],
                "Leaky score minus honest score, where the two differ in one thing alone. "
                f"You asked the score for (split, thinned, added): {'; '.join(dict.fromkeys(look.asked))}.",
                mistakes=[
                    *mistakes.get(name, []),
                    (
                        lambda value, right=expected[name]: right < 0 and value in (0, -right),
                        "A leak may lower the score, too. Return each difference as it is, without `abs` or `max`.",
                    ),
                    (-expected[name], "The sign is turned: inflation is the leaky score minus the honest one."),
                    (expected[name] + honest, "That is the leaky score itself. Subtract the honest one."),
                    (lambda value: value == 0, "Leaky and honest are the same here. Which of the two is leaky?"),
                ],
            )


def test_agrees_with_production(answer):
    payments, trained_at = _bank()
    came = _inflations(answer, payments, trained_at, _average_precision)
    for name, wanted in _reference().items():
        tolerance = RANDOM_TOLERANCE if name == "random_split" else TOLERANCE
        expect(
            f"inflations(of {len(payments):,} simulated payments)[{name!r}], with boosted trees",
            came[name],
            wanted,
            "With the line's own trees and average precision this leak adds another amount. Is anything else changed?",
            mistakes=[(lambda value: value <= 0, "A leak flatters: its inflation here is above 0.")],
            same=partial(math.isclose, abs_tol=tolerance),
        )


def _inflations(answer, payments: pd.DataFrame, trained_at: int, score) -> dict[str, float]:
    """The four numbers. Says so where they are none."""
    came = answer.inflations(payments.copy(), trained_at, score)
    names = Said(", ".join(LEAKS))
    if not isinstance(came, dict) or set(came) != set(LEAKS):
        refuse(
            f"keys of {CALLED}", list(came) if isinstance(came, dict) else came, names, "Return a dict of these names."
        )
    for name, value in came.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            refuse(
                f"{CALLED}[{name!r}]", value, Said("a number"), "Each inflation is one number: a difference of scores."
            )
    return {name: round(float(value), 9) for name, value in came.items()}


def _split(payments: pd.DataFrame, trained_at: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    occurred = payments["occurred"]
    test = (occurred >= trained_at) & (occurred < trained_at + TEST_DAYS * DAY)
    return payments[occurred < trained_at - LABEL_DELAY], payments[test]


def _thinned(payments: pd.DataFrame) -> pd.DataFrame:
    return payments[payments["fraud"] | (payments["transaction_id"] % 10 == 0)]


def _timed(payments: pd.DataFrame, in_time: bool = True, within_customers: bool = True) -> pd.DataFrame:
    """The times to each customer's payments before and after, by transaction_id, in seconds."""
    order = ["customer_id", "occurred", "transaction_id"] if in_time else ["customer_id"]
    table = payments.sort_values(order, kind="stable")
    occurred, customer = table["occurred"].to_numpy(), table["customer_id"].to_numpy()
    same = (customer[1:] == customer[:-1]) | (not within_customers)
    gap = np.where(same, np.diff(occurred), NONE).astype(float)
    columns = {"since_previous": np.append(NONE, gap), "until_next": np.append(gap, NONE)}
    return pd.DataFrame(columns, index=table["transaction_id"].to_numpy())


def _few() -> tuple[pd.DataFrame, int]:
    """Sixty payments of six customers, shuffled, and when a model is trained on them."""
    rng, n = np.random.default_rng(5), 60
    table = pd.DataFrame(rng.random((n, len(FEATURES))), columns=FEATURES)
    table["transaction_id"] = np.arange(n) + 100
    table["customer_id"] = rng.integers(1, 5, n)
    # The last payment of the fifth is in training, that of the sixth in the test: after them comes none.
    table.loc[[8, 17], "customer_id"], table.loc[[25, 45], "customer_id"] = 5, 6
    table["occurred"] = 20_000 * DAY + np.sort(rng.integers(0, 50 * DAY, n))
    table["fraud"] = rng.random(n) < 0.2
    table["balance_after"] = np.round(rng.random(n) * 100, 2)
    return table.sample(frac=1, random_state=1), 20_030 * DAY


def _average_precision(training: pd.DataFrame, test: pd.DataFrame, features) -> float:
    """Of the line's boosted trees, fitted on the one and tested on the other."""
    columns = list(features)
    frauds = training["fraud"].to_numpy(bool)
    model = fit_boosted_trees(training[columns].to_numpy(float), frauds, TREES, [0] * len(columns))
    margins = model.decision_function(test[columns].to_numpy(float))
    return Ranking.of(margins, test["fraud"].to_numpy(bool)).areas(np.ones(len(test), np.int64)).average_precision


@cache
def _reference() -> dict[str, float]:
    """The four, by the check's own way."""
    payments, trained_at = _bank()
    times = _timed(payments).loc[payments["transaction_id"]]
    payments = payments.assign(**{name: times[name].to_numpy() for name in times})
    training, test = _split(payments, trained_at)
    honest = _average_precision(training, test, FEATURES)
    dealt = pd.concat([training, test]).sort_values("transaction_id").sample(frac=1, random_state=0)
    at_random = dealt.iloc[: len(training)], dealt.iloc[len(training) :]
    thin = _thinned(training)
    return {
        "random_split": _average_precision(*at_random, FEATURES) - honest,
        "forward_shift": _average_precision(training, test, [*FEATURES, "until_next"])
        - _average_precision(training, test, [*FEATURES, "since_previous"]),
        "thinned_first": _average_precision(thin, _thinned(test), FEATURES) - _average_precision(thin, test, FEATURES),
        "balance_after": _average_precision(training, test, [*FEATURES, "balance_after"]) - honest,
    }


@cache
def _bank() -> tuple[pd.DataFrame, int]:
    """Twelve simulated weeks with the contract's features; a card is blocked for a week after each fraud.

    The balance is read from tonight's books: of most frauds the account is frozen by then, and shows 0.
    """
    blocks = list(simulate(Simulation(customers=250, terminals=120, days=84, seed=5)))
    names = [one.name for one in fields(Payments)]
    table = pd.DataFrame({name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})
    table = table.assign(fraud=table["pattern"] > 0).sort_values(["customer_id", "occurred", "transaction_id"])
    table = table[_unblocked(table)].reset_index(drop=True)
    for name, values in _features(table).items():
        table[name] = values
    rng = np.random.default_rng(0)
    balance = np.round(rng.gamma(2, 600, len(table)), 2)
    table["balance_after"] = np.where(table["fraud"] & (rng.random(len(table)) < 0.8), 0.0, balance)
    trained_at = int(table["occurred"].min()) // DAY * DAY + 56 * DAY
    columns = ["transaction_id", "occurred", "fraud", "balance_after", *FEATURES]
    return table[columns].sample(frac=1, random_state=1).reset_index(drop=True), trained_at


def _unblocked(table: pd.DataFrame) -> list[bool]:
    until: dict[int, int] = {}
    kept = []
    for customer, occurred, fraud in zip(table["customer_id"], table["occurred"], table["fraud"], strict=True):
        kept.append(occurred >= until.get(customer, 0))
        if kept[-1] and fraud:
            until[customer] = occurred + 7 * DAY
    return kept


def _features(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The published 15, by the contract's kernel; `table` is sorted by customer and time."""
    arrays = {
        name: table[name].to_numpy() for name in ("transaction_id", "customer_id", "terminal_id", "occurred", "cents")
    }
    occurred, cents, rows = arrays["occurred"], arrays["cents"], np.arange(len(table))
    found = payment_features(occurred, cents) | customer_features(arrays["customer_id"], occurred, cents, rows)
    order = np.lexsort((arrays["transaction_id"], occurred, arrays["terminal_id"]))
    reported = np.where(table["fraud"], occurred + LABEL_DELAY, NEVER)[order]
    place = np.argsort(order)
    by_terminal = terminal_features(arrays["terminal_id"][order], occurred[order], cents[order], reported, rows)
    found |= {name: values[place] for name, values in by_terminal.items()}
    return {name: found[name] for name in BASE_FEATURES}

"""What the data is good for: features that will be uninformative, and whether there is enough to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bank.checks.profile import Profile
from contracts.features import CUSTOMER_FEATURES, LAST_NIGHT_HOUR, TERMINAL_FEATURES
from contracts.labels import LABEL_DELAY_DAYS

MIN_DAYS: Final = 3 * LABEL_DELAY_DAYS + 5
"""Training, validation and test with the label delay after each, and the day that `make demo` plays live."""
GOOD_DAYS: Final = 90
GOOD_FRAUDS: Final = 100
SUNDAY, SATURDAY = 3, 2
"""Days since 1970 modulo 7: 1970-01-01 was a Thursday."""
FRAUD_FEATURES: Final = tuple(name for name in TERMINAL_FEATURES if "fraud" in name)


@dataclass(frozen=True)
class Dead:
    """Features with the same value in nearly every payment, and why."""

    features: tuple[str, ...]
    why: str


def dead_features(profile: Profile) -> list[Dead]:
    """The features that will be uninformative on this data."""
    found = [*_of_payment(profile), *_of_ids(profile)]
    if not profile.tally.frauds:
        found.append(Dead(FRAUD_FEATURES, "no payment is labelled as fraud"))
    elif profile.span <= LABEL_DELAY_DAYS:
        found.append(
            Dead(
                TERMINAL_FEATURES,
                f"labels become known after {LABEL_DELAY_DAYS} days, and the data covers no more than that",
            )
        )
    return found


def _of_payment(profile: Profile) -> list[Dead]:
    found = []
    if profile.lowest == profile.highest:
        found.append(Dead(("amount",), "all payments have the same amount"))
    night = sum(number for hour, number in profile.hours.items() if hour <= LAST_NIGHT_HOUR)
    if set(profile.hours) == {0}:
        found.append(Dead(("is_night",), "all payments are in the hour after midnight: the times have no time of day"))
    elif night in (0, profile.hours.total()):
        found.append(Dead(("is_night",), f"{'all' if night else 'no'} payments are at night"))
    weekend = profile.weekdays[SATURDAY] + profile.weekdays[SUNDAY]
    if weekend in (0, profile.weekdays.total()):
        found.append(Dead(("is_weekend",), f"{'all' if weekend else 'no'} payments are at the weekend"))
    return found


def _of_ids(profile: Profile) -> list[Dead]:
    payments, found = profile.tally.payments, []
    for kind, features in (("customer_id", CUSTOMER_FEATURES), ("terminal_id", TERMINAL_FEATURES)):
        distinct = profile.ids[kind]
        if distinct.seen and len(distinct) > 0.95 * payments:
            found.append(Dead(features, f"hardly any {kind} repeats ({len(distinct):,} in {payments:,} payments)"))
        elif distinct.seen and len(distinct) == 1:
            found.append(Dead(features, f"there is only one {kind}, so all payments share one history"))
    return found


def training_problems(profile: Profile, labelled: bool) -> list[str]:
    """Why a model cannot be trained; empty if it can."""
    if not labelled:
        return [
            "the map has no fraud column: no model can be trained; a champion trained on other data scores the payments"
        ]
    problems = []
    if profile.span < MIN_DAYS:
        problems.append(f"{_count(profile.span, 'day')} is too few: training, validation and test need {MIN_DAYS}")
    if not profile.tally.frauds:
        problems.append("no payment is labelled as fraud: check fraud in [columns] and [values]")
    elif profile.tally.frauds == profile.tally.payments:
        problems.append("every payment is labelled as fraud: check fraud in [values]")
    return problems


def training_doubts(profile: Profile) -> list[str]:
    """Why a model will be poor, though it can be trained."""
    doubts = []
    if MIN_DAYS <= profile.span < GOOD_DAYS:
        doubts.append(f"{profile.span} days is not much: a good model needs about {GOOD_DAYS}")
    if 0 < profile.tally.frauds < GOOD_FRAUDS:
        doubts.append(f"only {_count(profile.tally.frauds, 'fraud')}: the metrics will be unreliable")
    if profile.repeated():
        doubts.append(f"{profile.repeated():,} payments repeat an id: only the first of each is kept")
    elif profile.duplicates():
        doubts.append(
            f"{profile.duplicates():,} payments have the customer, terminal, amount and second of another: "
            "check that no rows were exported twice"
        )
    return doubts


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"

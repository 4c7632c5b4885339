"""Guess a map from the names of the columns and their values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from bank.checks.sample import Sample
from bank.map_files import MAPS, read_map
from bank.mapped.times import ISO, WHOLE, likely_formats, likely_unit

NEEDED: Final = ("transaction_id", "customer_id", "terminal_id", "amount", "occurred_at")
NAMES: Final[Mapping[str, str]] = {
    "fraud": r"""is_?fraud(ulent)?\?? fraud(_?(bool|flag|label|ind|indicator|reported))? tx_fraud labels? class target
        is_?chargeback chargeback .*fraud.*""",
    "amount": r"""(tx|trans\w*|transaction|payment|purchase)?_?(amt|amount)(_?(usd|eur|gbp|local))? amount.*
        .*_(amt|amount) value price total sum betrag montant importe valor""",
    "occurred_at": r""".*(trans|tx|pay|purchase|event|occur|creat|auth)\w*_?(date_?time|timestamp|time|date|at|ts|dt)
        date_?time timestamp ts time date step .*(time|date|timestamp).* datum""",
    "transaction_id": r"""(transaction|trans|trx|txn?|payment|order|auth\w*)_?(id|num|number|no|ref\w*|key|uuid)
        transaction id uuid .*(trans|tx|payment).*(id|ref)""",
    "customer_id": r"""customer(_?(id|no|num|number|key))? client(_?id)? cc_?num(ber)? card(_?(id|no|num\w*))?
        (card_?holder|user|account|acct|member|holder|cust)(_?(id|no|num|number|key|ref))? pan name_?orig source
        sender(_?\w*)? from(_?\w*)? orig\w* payer\w* .*(customer|card|account|user).*id.*""",
    "terminal_id": r"""terminal(_?(id|no|num|number))? merchant(_?(id|name|no|num|number|key))? merch\w*_?(id|name)?
        (shop|store|payee|vendor|seller|retailer|device|pos)(_?(id|name|no|num|number))? name_?dest target
        (receiver|recipient|beneficiary|dest\w*|counterparty)(_?\w*)? to(_?\w*)? category location""",
}
"""What columns are called, the likeliest first, in the order in which roles take them."""
LABEL_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("y", "yes", "t", "fraud", "fraudulent", "bad", "1.0"), True),
    **dict.fromkeys(("n", "no", "f", "genuine", "legit", "legitimate", "normal", "good", "non-fraud", "0.0"), False),
}
PREFIX: Final = re.compile(r"^[(+-]*\s*([^\d\s.,()+-]+)\s*[+-]?\s*[\d.,]+\)?$")
NO_IDS: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "creditcard.csv": (
        frozenset({"Time", "V1", "V28", "Amount", "Class"}),
        "its columns V1 to V28 are anonymous, and no column says who paid where: the customer and terminal histories, "
        "on which all but three features depend, cannot be built",
    ),
    "Bank Account Fraud (BAF)": (
        frozenset({"fraud_bool", "name_email_similarity", "velocity_6h", "month"}),
        "it contains account applications, not payments, and names no customer, terminal or day, so there are no "
        "histories",
    ),
}


@dataclass
class Guess:
    """A guessed map as a TOML document, and the columns that were not found; `shipped` is a map that fits as it is.

    `other_formats` has further formats of times that fit the sample, for example where no day is after the 12th.
    """

    content: dict[str, dict[str, Any]] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    shipped: str | None = None
    other_formats: list[str] = field(default_factory=list)


def unusable(names: Sequence[str]) -> str | None:
    """Why a well-known data set cannot be used, by its columns; None for any other."""
    for name, (columns, why) in NO_IDS.items():
        if columns <= set(names):
            return f"this is {name}: {why}"
    return None


def shipped_map(names: Sequence[str]) -> str | None:
    """The included map for a data set with these columns."""
    for path in sorted(MAPS.glob("*.toml")):
        theirs = read_map(path).columns.theirs
        if {name for columns in theirs.values() for name in columns} <= set(names):
            return path.stem
    return None


def guess_map(sample: Sample) -> Guess:
    """Guess the map of a sample."""
    if name := shipped_map(list(sample.columns)):
        return Guess(shipped=name)
    columns = _roles(sample)
    lacking = [ours for ours in NEEDED if ours not in columns]
    content: dict[str, dict[str, Any]] = {"columns": {ours: columns[ours] for ours in _order(columns)}}
    content["format"] = dict(sample.written) | (_amount_format(sample, columns) if "amount" in columns else {})
    content["time"], others = _time(sample, columns["occurred_at"]) if "occurred_at" in columns else ({}, [])
    content["values"] = _fraud_values(sample, columns)
    return Guess({name: table for name, table in content.items() if table}, lacking, None, others)


def as_toml(content: Mapping[str, Mapping[str, Any]]) -> str:
    """A map as text."""
    lines = []
    for table, values in content.items():
        lines += [f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _order(columns: Mapping[str, Any]) -> list[str]:
    return sorted(columns, key=[*NEEDED, "fraud"].index)


def _roles(sample: Sample) -> dict[str, str | list[str]]:
    free = dict.fromkeys(sample.columns)
    found: dict[str, str | list[str]] = {}
    for ours, patterns in NAMES.items():
        match = next((name for pattern in patterns.split() for name in free if _is(name, pattern, ours, sample)), None)
        if match is not None:
            found[ours] = match
            del free[match]
    if isinstance(day := found.get("occurred_at"), str) and (rest := _time_of_day(sample, day, list(free))):
        found["occurred_at"] = rest
    if "transaction_id" not in found:
        found["transaction_id"] = "row"
    return found


def _is(name: str, pattern: str, ours: str, sample: Sample) -> bool:
    plain = re.sub(r"[^a-z0-9?]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
    return re.fullmatch(pattern, plain) is not None and _fits(ours, sample.columns[name], sample.types[name])


def _fits(ours: str, values: list[str], kind: pa.DataType) -> bool:
    distinct = set(values)
    if ours == "fraud":
        return 0 < len(distinct) <= 4
    if ours == "amount":
        return sum(any(char.isdigit() for char in value) for value in values) > 0.9 * len(values) > 0 and all(
            len(value) < 20 for value in values
        )
    if ours == "occurred_at":
        return pa.types.is_temporal(kind) or any(char.isdigit() for value in values[:1] for char in value)
    return len(distinct) == len(values) > 0 if ours == "transaction_id" else len(distinct) > 1


def _time_of_day(sample: Sample, day: str, free: Sequence[str]) -> list[str] | None:
    """The columns of day and time where they are apart."""
    if any(":" in value for value in sample.columns[day][:20]):
        return None
    times = [
        name
        for name in free
        if (values := sample.columns[name][:20]) and all(re.match(r"^\d\d?:\d\d", v) for v in values)
    ]
    return [day, times[0]] if times else None


def _amount_format(sample: Sample, columns: Mapping[str, Any]) -> dict[str, Any]:
    values = sample.columns[columns["amount"]]
    written: dict[str, Any] = {}
    marks = {found[1] for value in values if (found := PREFIX.match(value))}
    if len(marks) == 1:
        written["prefix"] = marks.pop()
    if any(re.search(r"\d,\d{1,2}\)?$", value) for value in values):
        written["decimal"] = ","
        if any(re.search(r"\d\.\d{3}(\D|$)", value) for value in values):
            written["thousands"] = "."
    elif any(re.search(r"\d,\d{3}(\D|$)", value) for value in values):
        written["thousands"] = ","
    return written


def _time(sample: Sample, names: str | list[str]) -> tuple[dict[str, Any], list[str]]:
    """The table [time], and other formats that fit."""
    columns = [names] if isinstance(names, str) else names
    if len(columns) == 1 and pa.types.is_temporal(sample.types[columns[0]]):
        return {}, []
    texts = [" ".join(parts) for parts in zip(*(sample.columns[name] for name in columns), strict=False)]
    if all(re.fullmatch(ISO, text) for text in texts):
        return {}, []
    if layouts := likely_formats(texts):
        return {"format": layouts[0]}, layouts[1:]
    if all(re.fullmatch(WHOLE, text) for text in texts):
        largest = max(map(int, texts))
        return {"unit": likely_unit(largest)} | ({} if largest >= 10**8 else {"origin": "2024-01-01"}), []
    return {}, []


def _fraud_values(sample: Sample, columns: Mapping[str, Any]) -> dict[str, Any]:
    if "fraud" not in columns:
        return {}
    texts = sorted(set(sample.columns[columns["fraud"]]))
    if {text.lower() for text in texts} <= {"0", "1", "true", "false"}:
        return {}
    known: dict[str, bool | str] = {}
    for text in texts:
        word = text.lower()
        if word in ("0", "1", "true", "false"):
            known[text] = word in ("1", "true")
        else:
            known[text] = LABEL_WORDS.get(word, "unknown")
    return {"fraud": known}

"""Amounts: text of any national form, or numbers, as whole cents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.mapped.problems import Mask, Problem
from bank.mapped.text import as_text, mask_of, plain
from bank.mapping import Format
from contracts.transaction import MAX_AMOUNT_CENTS

NUMBER: Final = r"^[+-]?(?:[0-9]{1,15}(?:\.[0-9]*)?|\.[0-9]+)$"
BEYOND_CENTS: Final = r"\.[0-9]{2}[0-9]*[1-9]"
CENT: Final = Decimal("0.01")
NOISE: Final = 1e-7
"""In cents: what floating-point arithmetic adds to an amount."""


@dataclass(frozen=True)
class Amounts:
    """Cents with their sign, shape (n,), 0 where there is no amount; `rounded` had more than two decimals."""

    cents: NDArray[np.int64]
    rounded: Mask
    problems: list[Problem]


def amounts(column: pa.Array, written: Format, most: int = MAX_AMOUNT_CENTS) -> Amounts:
    """Read amounts, of up to `most` cents. Further decimals are rounded to the nearest cent, halves to the even one."""
    column = plain(column)
    missing = mask_of(pc.is_null(column if pa.types.is_floating(column.type) else as_text(column)))
    if pa.types.is_float64(column.type):
        cents, rounded, valid = _of_doubles(column)
    else:
        # As text also float32 and decimals, so that 12.34 does not become 12.34000015258789.
        text = column.cast(pa.string()) if pa.types.is_floating(column.type) else as_text(column)
        cents, rounded, valid = _of_texts(_decimal_form(text, written))
    high = valid & (np.abs(cents) > most)
    odd = ~valid & ~missing
    problems = [
        Problem("amount: missing", "amount", missing, "map amount to a column that always has a value"),
        Problem("amount: not a number", "amount", odd, _remedy(column, odd, written)),
        Problem("amount: above 1,000,000.00", "amount", high, "check that it is the amount, in whole units"),
    ]
    return Amounts(np.where(valid & ~high, cents, 0), rounded & valid, problems)


def _decimal_form(text: pa.Array, written: Format) -> pa.Array:
    """Amounts as plain decimals: without prefix and thousands, negative ones with a minus in front."""
    if written.decimal == "." and pc.all(pc.match_substring_regex(text, NUMBER)).as_py():
        return text
    text = pc.replace_substring_regex(text, r"^\((.*)\)$", r"-\1")
    text = pc.replace_substring_regex(text, r"^([^-].*)-$", r"-\1")
    text = pc.replace_substring(text, "\u2212", "-")
    if written.prefix:
        mark = re.escape(written.prefix)
        text = pc.replace_substring_regex(text, rf"^([+-]?)\s*{mark}\s*|\s*{mark}$", r"\1")
    if written.thousands:
        mark, point = re.escape(written.thousands), re.escape(written.decimal)
        groups = rf"^[+-]?[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}(?:{point}[0-9]*)?$"
        grouped = pc.match_substring_regex(text, groups)
        text = pc.if_else(grouped, pc.replace_substring(text, written.thousands, ""), text)
    if written.decimal != ".":
        # What has a point already is not a number in this form.
        text = pc.replace_substring(pc.replace_substring(text, ".", "?"), written.decimal, ".")
    return text


def _of_texts(text: pa.Array) -> tuple[NDArray[np.int64], Mask, Mask]:
    valid = mask_of(pc.match_substring_regex(text, NUMBER))
    numbers = pc.if_else(pa.array(valid), pc.replace_substring_regex(text, r"^\+", ""), "0")
    cents = np.rint(numbers.cast(pa.float64()).to_numpy() * 100).astype(np.int64)
    rounded = mask_of(pc.match_substring_regex(numbers, BEYOND_CENTS))
    cents[rounded] = _rounded(numbers.filter(pa.array(rounded)))
    return cents, rounded, valid


def _of_doubles(column: pa.Array) -> tuple[NDArray[np.int64], Mask, Mask]:
    values = column.to_numpy(zero_copy_only=False)
    valid = np.isfinite(values) & (np.abs(values) < 1e15)
    scaled = np.where(valid, values, 0) * 100
    cents = np.rint(scaled)
    rounded = np.abs(scaled - cents) > np.maximum(NOISE, np.abs(scaled) * 1e-15)
    whole = cents.astype(np.int64)
    whole[rounded] = [
        int(Decimal(repr(value)).quantize(CENT, ROUND_HALF_EVEN) * 100) for value in values[rounded].tolist()
    ]
    return whole, rounded, valid


def _rounded(texts: pa.Array) -> list[int]:
    # By decimal arithmetic: as a double, 1.015 is less than the half between its neighbours.
    return [int(Decimal(text).quantize(CENT, ROUND_HALF_EVEN) * 100) for text in texts.to_pylist()]


def _remedy(column: pa.Array, odd: Mask, written: Format) -> str:
    """What to write for the first amount that is not a number."""
    if not odd.any():
        return ""
    text = str(column[int(np.argmax(odd))].as_py()).strip()
    if re.fullmatch(r"[+-]?[0-9.]*[0-9],[0-9]{1,2}", text) and written.decimal == ".":
        return 'write decimal = "," and, for 1.234,56, thousands = "." below [format]'
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?", text):
        return 'write thousands = "," below [format]'
    if found := re.fullmatch(r"[(+-]?\s*([^0-9\s.,()+-]+)\s*[+-]?[0-9.,]+\)?", text):
        return f'write prefix = "{found[1]}" below [format]'
    if re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", text):
        return "write amounts as plain decimals, not as 1e3"
    return "correct the value, or map amount to another column"

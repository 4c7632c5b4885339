"""Sentences of the exploration whose words follow from their numbers, and how pages show them and the pictures."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modeling.notebooks.payments import Frame
from modeling.notebooks.statistics import LEAST_FRAUDS, NEAR_DAYS, Clusters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI: Final = 110


def say(*sentences: str) -> None:
    """Show sentences, each a paragraph of its own."""
    from IPython.display import Markdown, display

    display(Markdown("\n\n".join(sentences)))  # type: ignore[no-untyped-call]


def show(figure: Figure, alt: str) -> None:
    """Show a picture, with `alt` for those who cannot see it."""
    from IPython.display import Image, display

    held = BytesIO()
    figure.savefig(held, format="png", dpi=DPI)
    display(Image(data=held.getvalue(), alt=alt))  # type: ignore[no-untyped-call]


def percent(share: float) -> str:
    """A share as per cent, with three digits that count: 0.00828 is 0.828 %, and 0.99967 is not 100 %."""
    if 0.99 < share < 1:
        return f"{100 - float(f'{100 * (1 - share):.2g}'):.6g} %"
    return f"{100 * share:.3g} %"


def number(count: int, one: str, many: str = "") -> str:
    """How many of something: 1 fraud, 1,204 frauds."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def compare(left: float, right: float, words: tuple[str, str, str] = ("more", "fewer", "as many")) -> str:
    """The word for left above, below, and level with right."""
    above, below, level = words
    return above if left > right else below if left < right else level


def times(left: float, right: float) -> str:
    """How many times as large `left` is as `right`: 4.2 times; without a number where only `right` is 0."""
    if right == 0:
        return "incomparably many times" if left else "1 times"
    return f"{left / right:.3g} times"


def day(instant: Any) -> str:
    """A day as YYYY-MM-DD."""
    return f"{instant:%Y-%m-%d}"


def listed(names: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def two_medians(what: str, values: Frame, frauds: Frame) -> str:
    """How the medians of genuine payments and of frauds stand to one another; masks and values of one index."""
    genuine, fraud = values[~frauds].dropna(), values[frauds].dropna()
    if len(fraud) < LEAST_FRAUDS or not len(genuine):
        return f"Of {what} nothing can be said: only {number(len(fraud), 'known fraud')}."
    left, right = float(np.median(fraud)), float(np.median(genuine))
    return (
        f"The median {what} is {left:,.2f} of a fraud and {right:,.2f} of a genuine payment: frauds are typically "
        f"{compare(left, right, ('larger', 'smaller', 'as large'))}."
    )


def extremes(table: Frame, what: str) -> str:
    """Where the fraud share is highest and lowest, and whether the intervals leave that to chance."""
    high, low = table["share"].idxmax(), table["share"].idxmin()
    apart = table.loc[high, "low"] > table.loc[low, "high"]
    judged = "do not overlap" if apart else "overlap, so chance alone may explain it"
    return (
        f"The fraud share is highest {what.format(high)}, {percent(table.loc[high, 'share'])}, and lowest "
        f"{what.format(low)}, {percent(table.loc[low, 'share'])}; the two intervals {judged}."
    )


def clusters_in_words(found: Clusters, one: str) -> list[str]:
    """How frauds cluster at `one`, such as a terminal."""
    closer = compare(found.near, found.near_by_chance, ("more than", "less than", "just as"))
    said = [
        f"{found.hit:,} of {number(found.entities, one)} with labelled payments had a known fraud, "
        f"{percent(found.hit / found.entities)}.",
        f"{percent(found.near)} of the {number(found.frauds, 'fraud')} have another at the same {one} within "
        f"{NEAR_DAYS} days, {closer} the {percent(found.near_by_chance)} of as many frauds scattered at random among "
        "the payments.",
        f"The longest streak is {number(found.longest, 'fraud')} in a row at {one} {found.longest_of}, over "
        f"{found.longest_days:.1f} days.",
    ]
    if len(found.gaps):
        said.insert(
            2, f"From one fraud to the next at the same {one} it takes {np.median(found.gaps):.1f} days (median)."
        )
    return said

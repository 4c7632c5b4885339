"""Sentences of the exploration computed from numbers, and functions that show text and plots in the notebook."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from contracts.display_ids import named
from modeling.notebooks.payments import Frame
from modeling.notebooks.statistics import MIN_FRAUDS, NEAR_DAYS, Clusters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI: Final = 110


def say(*sentences: str) -> None:
    """Show sentences, each as a paragraph."""
    from IPython.display import Markdown, display

    display(Markdown("\n\n".join(sentences)))  # type: ignore[no-untyped-call]


def show(figure: Figure, alt: str) -> None:
    """Show a figure with the alternative text `alt`."""
    from IPython.display import Image, display

    png = BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    display(Image(data=png.getvalue(), alt=alt))  # type: ignore[no-untyped-call]


def percent(share: float) -> str:
    """A share in per cent with three significant digits; 0.00828 is 0.828 %, and 0.99967 is not rounded to 100 %."""
    if 0.99 < share < 1:
        return f"{100 - float(f'{100 * (1 - share):.2g}'):.6g} %"
    return f"{100 * share:.3g} %"


def number(count: int, one: str, many: str = "") -> str:
    """A count with its noun: 1 fraud, 1,204 frauds."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def compare(left: float, right: float, words: tuple[str, str, str] = ("more", "fewer", "as many")) -> str:
    """The first word if `left` is greater than `right`, the second if smaller, the third if equal."""
    above, below, level = words
    return above if left > right else below if left < right else level


def times(left: float, right: float) -> str:
    """The ratio of `left` to `right` as text, such as 4.2 times; without a number if only `right` is 0."""
    if right == 0:
        return "infinitely many times" if left else "1 time"
    ratio = f"{left / right:.3g}"
    return f"{ratio} time{'' if ratio == '1' else 's'}"


def day(instant: Any) -> str:
    """A day as YYYY-MM-DD."""
    return f"{instant:%Y-%m-%d}"


def listed(names: Iterable[str]) -> str:
    """Names as a list in a sentence: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def describe_medians(what: str, values: Frame, frauds: Frame) -> str:
    """Compare the medians of frauds and genuine payments; `frauds` is a mask with the index of `values`."""
    genuine, fraud = values[~frauds].dropna(), values[frauds].dropna()
    if len(fraud) < MIN_FRAUDS or not len(genuine):
        return f"The {what} cannot be compared: only {number(len(fraud), 'known fraud')}."
    left, right = float(np.median(fraud)), float(np.median(genuine))
    return (
        f"The median {what} is {left:,.2f} for frauds and {right:,.2f} for genuine payments: frauds are typically "
        f"{compare(left, right, ('larger', 'smaller', 'as large'))}."
    )


def describe_extremes(table: Frame, what: str) -> str:
    """Describe where the fraud share is highest and lowest and whether the intervals overlap."""
    high, low = table["share"].idxmax(), table["share"].idxmin()
    apart = table.loc[high, "low"] > table.loc[low, "high"]
    overlap = "do not overlap" if apart else "overlap, so the difference may be due to chance"
    return (
        f"The fraud share is highest {what.format(high)}, {percent(table.loc[high, 'share'])}, and lowest "
        f"{what.format(low)}, {percent(table.loc[low, 'share'])}; the two intervals {overlap}."
    )


def describe_clusters(found: Clusters, one: str) -> list[str]:
    """Describe how frauds cluster at `one`, the name of an entity such as a terminal."""
    closer = compare(found.near, found.near_by_chance, ("more than", "less than", "exactly"))
    sentences = [
        f"{found.hit:,} of {number(found.entities, one)} with labelled payments had a known fraud, "
        f"{percent(found.hit / found.entities)}.",
        f"{percent(found.near)} of the {number(found.frauds, 'fraud')} have another at the same {one} within "
        f"{NEAR_DAYS} days, {closer} the {percent(found.near_by_chance)} of as many frauds assigned to random "
        "payments.",
        f"The longest streak is {number(found.longest, 'fraud')} in a row at {one} "
        f"{named(f'{one}_id', found.longest_of)}, over {found.longest_days:.1f} days.",
    ]
    if len(found.gaps):
        sentences.insert(
            2, f"The median time from one fraud to the next at the same {one} is {np.median(found.gaps):.1f} days."
        )
    return sentences

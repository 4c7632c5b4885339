"""Print what a check of data found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bank.checks.profile import Profile
from bank.checks.sample import Sample
from bank.checks.verdicts import Dead
from bank.mapped.problems import Tally, masked_id, masked_text

GAPS = 5
COLUMNS = 24


def show_rows(console: Console, tally: Tally) -> None:
    """The rows and what became of them, with examples of rejected ones."""
    refused = tally.refused.total()
    console.print(
        f"[bold]{tally.rows:,} rows[/] = {tally.payments:,} payments + {tally.refunds:,} refunds and reversals"
        f" + {refused:,} rejected"
    )
    for reason, number in tally.refused.most_common():
        console.print(f"\n[red]{number:,} rejected[/]  {escape(reason)}")
        for one in tally.examples[reason]:
            value = f'  {escape(one.column)} = "{escape(one.value)}"' if one.column else ""
            console.print(f"  {escape(one.file)}, row {one.row:,}{value}")
        console.print(f"  [green]→[/] {escape(tally.examples[reason][0].remedy)}")
    for note, number in tally.notes.most_common():
        console.print(f"[yellow]{number:,}[/] {escape(note)}")


def show_profile(console: Console, profile: Profile, names: dict[str, str]) -> None:
    """The days, ids and labels; `names` has examples of short names by kind of id."""
    tally = profile.tally
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("days", f"{profile.first} to {profile.last}, {len(profile.days):,} of {profile.span:,} have payments")
    for day, days in islice(profile.gaps(), GAPS):
        table.add_row("gap", f"{days:,} days from {day}")
    if len(profile.gaps()) > GAPS:
        table.add_row("gaps", f"{len(profile.gaps()) - GAPS:,} more")
    table.add_row(
        "repeated ids", f"{profile.repeated():,}; {profile.duplicates():,} payments are identical in every other field"
    )
    for kind in ("customer_id", "terminal_id"):
        table.add_row(f"{kind[:-3]}s", f"{len(profile.ids[kind]):,}, such as {names[kind]}")
    rate = tally.frauds / max(1, tally.payments - tally.unknown_labels)
    unknown = f", {tally.unknown_labels:,} payments unknown" if tally.unknown_labels else ""
    table.add_row("frauds", f"{tally.frauds:,} ({rate:.3%} of those with a label){unknown}")
    console.print(table)


def show_verdicts(console: Console, dead: Sequence[Dead], problems: Sequence[str], doubts: Sequence[str]) -> None:
    """The uninformative features, and whether a model can be trained."""
    for one in dead:
        console.print(f"[yellow]uninformative:[/] {', '.join(one.features)}: {escape(one.why)}")
    for text in problems:
        console.print(f"[red]cannot train:[/] {escape(text)}")
    for text in doubts:
        console.print(f"[yellow]note:[/] {escape(text)}")
    if not problems:
        console.print("[green]enough to train on[/]")


def show_columns(console: Console, sample: Sample) -> None:
    """The columns of a file with masked values."""
    table = Table("column", "values", title=f"{sample.file.label}, first rows", title_justify="left")
    for name, values in islice(sample.columns.items(), COLUMNS):
        shown = [masked_id(value) if value.isalnum() and len(value) > 6 else masked_text(value) for value in values[:3]]
        table.add_row(escape(name or "(no name)"), escape(", ".join(shown)))
    if len(sample.columns) > COLUMNS:
        table.add_row(f"… {len(sample.columns) - COLUMNS} more", "")
    console.print(table)

"""Check a file of transactions before it is loaded: `python -m bank.check_data`.

It reads everything once and says what would be loaded, what is rejected and why, and what the data is good for. Without
a map it guesses one and writes it to a file. It needs no database.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from bank.checks.guess import NEEDED, Guess, as_toml, guess_map, unusable
from bank.checks.page import show_columns, show_profile, show_rows, show_verdicts
from bank.checks.profile import Profile
from bank.checks.sample import Sample, take_sample
from bank.checks.verdicts import Dead, dead_features, training_doubts, training_problems
from bank.errors import BankError, DataError
from bank.map_files import find_map, parse_map, read_map
from bank.mapped.feed import MappedFeed
from bank.mapped.ids import IdKey
from bank.mapped.problems import Tally
from bank.progress import progress_of
from bank.runner import run
from bank.settings import read_settings
from contracts.display_ids import display_id
from contracts.zones import find_zone

GUESSED: Final = Path("var/maps")
"""Where guessed maps are written."""


class Report:
    """What a check found."""

    def __init__(self, feed: MappedFeed) -> None:
        """Read everything. Raises `DataError`."""
        self.feed, self.tally = feed, Tally()
        # `make demo` takes the zone of the map for the bank's.
        self.profile = Profile(self.tally, find_zone(feed.mapping.time.zone))
        self.names: dict[str, str] = {}
        size = sum(file.path.stat().st_size for file in feed.sources.values())
        with progress_of("checking", size >> 20, "MB") as progress:
            for source, file in feed.sources.items():
                for done in feed.converted(file, self.tally, feed.key, feed.key.first_of_source(source)[0]):
                    self.profile.add(done.payments)
                    self._name(done.payments)
                progress(file.path.stat().st_size >> 20)
        self.dead: list[Dead] = dead_features(self.profile) if self.tally.payments else []
        self.problems = training_problems(self.profile, feed.labelled) if self.tally.payments else []
        self.doubts = training_doubts(self.profile)

    @property
    def fits(self) -> bool:
        """Whether the map fits: there are payments, and fewer rows are rejected than become payments."""
        return self.tally.payments > self.tally.refused.total()

    def _name(self, payments: Any) -> None:
        for kind in ("customer_id", "terminal_id"):
            if kind not in self.names and len(payments):
                self.names[kind] = display_id(kind, payments[kind][0].as_py())

    def summary(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "fits": self.fits,
            "payments": self.tally.payments,
            **self.tally.summary(),
            "examples": {reason: [asdict(one) for one in some] for reason, some in self.tally.examples.items()},
            **self.profile.summary(),
            "dead_features": [asdict(one) for one in self.dead],
            "cannot_train": self.problems,
            "doubts": self.doubts,
        }


def check(options: argparse.Namespace, console: Console) -> int:
    """Check the data and print the report; returns the exit code, 0 if the map fits. Raises `DataError`."""
    said: dict[str, Any] = {}
    if options.map is None:
        sample = take_sample(options.data)
        path, code = _guessed(options.data, sample, console, said)
        if path is None:
            return _end(options, said, code)
    else:
        path = find_map(options.map)
    name = options.map or (path.stem if path.parent.name == "maps" and said.get("shipped") else str(path))
    report = Report(MappedFeed(options.data, read_map(path), path, datetime.now(UTC), _key()))
    said |= report.summary() | {"map": name}
    show_rows(console, report.tally)
    if report.tally.payments:
        show_profile(console, report.profile, report.names)
        show_verdicts(console, report.dead, report.problems, report.doubts)
    said["command"] = f"make demo DATA={_quoted(options.data)} MAP={_quoted(name)}"
    if report.fits:
        console.print(f"\nRun it:\n  [bold]{escape(said['command'])}[/]")
    else:
        console.print(f"\n[red]The map {escape(name)} does not fit:[/] change it as said above, and check again.")
    return _end(options, said, 0 if report.fits else 1)


def _guessed(data: Path, sample: Sample, console: Console, said: dict[str, Any]) -> tuple[Path | None, int]:
    """The file of a map that fits the sample by its columns; None where none can be guessed."""
    if why := unusable(list(sample.columns)):
        said["unusable"] = why
        console.print(escape(f"{sample.file.label} cannot be used: {why}"))
        return None, 1
    guess = guess_map(sample)
    if guess.shipped:
        said["shipped"] = guess.shipped
        console.print(f"These are the columns of [bold]{guess.shipped}[/]; its map is included.\n")
        return find_map(guess.shipped), 0
    if guess.lacking:
        said["lacking"] = guess.lacking
        _show_what_to_write(console, data, sample, guess)
        return None, 1
    path = _write(data, guess)
    said["guessed"] = guess.content
    console.print(f"A map guessed from the columns, written to {path}. Check it before you trust it:\n")
    console.print(escape(as_toml(guess.content)), style="cyan")
    for other in guess.other_formats:
        console.print(f'[yellow]check:[/] the first times have the format "{escape(other)}" too\n')
    return path, 0


def _show_what_to_write(console: Console, data: Path, sample: Sample, guess: Guess) -> None:
    show_columns(console, sample)
    found = guess.content.get("columns", {})
    lines = [
        f'{ours} = "{found.get(ours, "?")}"'
        if isinstance(found.get(ours, "?"), str)
        else f"{ours} = {json.dumps(found[ours])}"
        for ours in NEEDED
    ]
    console.print(
        f"No column was found for {', '.join(guess.lacking)}. Write a file my.toml with their names, as far as these"
        " are right:\n"
    )
    console.print(
        escape(
            "[columns]\n"
            + "\n".join(lines)
            + "\n"
            + as_toml({name: table for name, table in guess.content.items() if name != "columns"})
        ),
        style="cyan",
    )
    console.print(
        "Who paid is customer_id, where is terminal_id; each may be a list of columns. Then check again:\n"
        f"  [bold]make check-data DATA={escape(_quoted(data))} MAP=my.toml[/]   (docs/your-data.md)"
    )


def _write(data: Path, guess: Guess) -> Path:
    name, text = data.resolve().name.split(".")[0] or "data", as_toml(guess.content)
    paths = (GUESSED / (f"{name}-{number}.toml" if number > 1 else f"{name}.toml") for number in count(1))
    # A map that was guessed before may have been changed since.
    path = next(one for one in paths if not one.exists() or one.read_text(encoding="utf-8") == text)
    parse_map(guess.content, path)
    GUESSED.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _key() -> IdKey:
    """The installation's key, or any: only the examples of short names depend on it."""
    try:
        return IdKey(read_settings().secret("bank_id_key").encode())
    except BankError:
        return IdKey(secrets.token_bytes(32))


def _quoted(value: Path | str) -> str:
    return shlex.quote(str(value))


def _end(options: argparse.Namespace, said: dict[str, Any], code: int) -> int:
    if options.json:
        print(json.dumps(said))
    return code


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.check_data", description=__doc__)
    parser.add_argument("--data", metavar="PATH", help="a file of transactions, or a folder of them")
    parser.add_argument(
        "--map", metavar="FILE", help="a TOML file, or the name of an included one; guessed if left out"
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    if not options.data:
        raise DataError("no data: give DATA=<file or folder>, as make check-data DATA=payments.csv")
    options.data = Path(options.data).expanduser()
    sys.exit(check(options, Console(highlight=False, soft_wrap=True, stderr=options.json)))


if __name__ == "__main__":
    run(main)

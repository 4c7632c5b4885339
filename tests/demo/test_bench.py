"""The scorer's benchmark: ratios per round, and its errors."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.scorer import __main__ as bench
from benchmarks.scorer import load_generator
from benchmarks.scorer.contenders import ALL_AT_ONCE, BARE, MLFLOW, NO_OP, PLAIN, SCORE
from benchmarks.scorer.load_generator import Load, LoadError, last_line, measure
from benchmarks.scorer.options import read_options
from benchmarks.scorer.report import Measured, report, show
from demo import command
from demo.options import OptionsError

FIGURES = ((BARE, 6000, 2.0), (NO_OP, 4000, 3.0), (SCORE, 2400, 6.0), (MLFLOW, 100, 60.0), (PLAIN, 300, 30.0))


def measured(name: str, clients: int, turn: int, per_second: float, p99: float) -> Measured:
    return Measured(name, clients, turn, requests=round(10 * per_second), seconds=10, failed=0, p50_ms=1, p99_ms=p99)


@pytest.fixture
def results() -> dict[str, Any]:
    """Three rounds, the last of them on a machine half as fast."""
    all_of_them = [
        measured(name, clients, turn, rate / pace, p99 * pace)
        for clients in (1, 16)
        for turn, pace in enumerate((1, 1, 2))
        for name, rate, p99 in FIGURES
    ]
    all_of_them += [measured(ALL_AT_ONCE.name, 1, turn, 12, 90) for turn in range(3)]
    return report(all_of_them, {"rounds": 3}, {"servers": [0, 1], "load and stores": [0, 1]}, "wrk")


def test_ratios_are_computed_per_round(results: dict[str, Any]) -> None:
    for clients in ("1", "16"):
        rows = results["by_clients"][clients]
        assert rows[NO_OP]["requests_per_second"] == 4000
        assert rows["score_to"][BARE] == {"requests_per_second": 0.4, "p50": 1.0, "p99": 3.0}
        assert rows["score_to"][NO_OP] == {"requests_per_second": 0.6, "p50": 1.0, "p99": 2.0}
        assert rows["score_to"][MLFLOW] == {"requests_per_second": 24.0, "p50": 1.0, "p99": 0.1}
        assert set(rows["score_to"]) == {BARE, NO_OP, MLFLOW, PLAIN}
    assert results["load_generator"] == "wrk"
    assert results["batch"]["payments_per_second"] == 12_000


def test_one_slow_round_of_a_contender_does_not_count() -> None:
    rounds = [measured(name, 16, turn, 1000, 1) for name in (NO_OP, MLFLOW, PLAIN) for turn in range(3)]
    rounds += [measured(SCORE, 16, turn, rate, 1) for turn, rate in enumerate((500, 10, 520))]
    rounds += [measured(ALL_AT_ONCE.name, 1, 0, 1, 1)]
    rows = report(rounds, {}, {})["by_clients"]["16"]
    assert rows["score_to"][NO_OP]["requests_per_second"] == 0.5


def test_the_table_has_every_contender(results: dict[str, Any]) -> None:
    out = io.StringIO()
    show(results, Console(file=out, width=80))
    for name in (BARE, NO_OP, SCORE, MLFLOW, PLAIN, "12,000", "16 clients"):
        assert name in out.getvalue()


@pytest.mark.parametrize(("installed", "name"), [("/usr/bin/wrk", "wrk"), (None, "benchmarks.scorer.load")])
def test_wrk_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, installed: str | None, name: str) -> None:
    monkeypatch.setattr(load_generator.shutil, "which", lambda _: installed)
    assert load_generator.generator() == name


def test_the_warm_up_of_wrk_counts_as_sent_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], _: str) -> dict[str, Any]:
        commands.append(command)
        return {"requests": 90, "sent": 100, "failed": 1}

    monkeypatch.setattr(load_generator, "_run", run)
    found = measure(
        Load("http://127.0.0.1:1/score", Path("payments.jsonl"), skip=7, clients=16, seconds=4.0), "key", "wrk"
    )
    assert found == {"requests": 90, "sent": 200, "failed": 2}
    assert [command[-1] for command in commands] == ["7", "107"]
    assert [command[command.index("--duration") + 1] for command in commands] == ["1s", "4s"]


def test_output_without_a_summary_is_an_error() -> None:
    assert last_line('Running 4s test\n{"requests": 1}\n') == {"requests": 1}
    for output in ("", "unable to connect"):
        with pytest.raises(LoadError):
            last_line(output)


def test_without_a_demo_it_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "DEMO", tmp_path)
    assert bench.main() == 1
    assert "make demo" in capsys.readouterr().out


def test_a_wrong_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDS", "")
    assert read_options().rounds == 5
    monkeypatch.setenv("ROUNDS", "0")
    with pytest.raises(OptionsError, match="ROUNDS=0"):
        read_options()

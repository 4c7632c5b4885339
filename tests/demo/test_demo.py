"""Invalid options, a failing step, and no process left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import httpx
import psutil
import pytest
from rich.console import Console

from demo.airflow_api import TaskDone
from demo.embedded_servers import ROOT, ServerError
from demo.http_servers import task_log_tail
from demo.installation import Installation
from demo.options import OptionsError, read_options
from demo.run import CHAMPION, follow, remove_last_demo, require_champion, run_dag, said_of_rows, zone_of_champion
from demo.step_runner import StepFailed, Steps
from demo.summary import Summary

SUMMARY_KEYS = [
    "transactions_loaded",
    "quarantined",
    "feature_rows",
    "model_version",
    "test_average_precision",
    "live_scored",
    "live_mismatches",
    "repeated_ids",
    "decisions",
    "latency_ms",
    "steps",
    "peak_memory_mb",
]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path, postgres_port=1, valkey_port=2, mlflow_port=3, scorer_port=4)
    made.make_folders()
    return made


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATA", "/no/such/folder", "there is no file or folder /no/such/folder"),
        ("DAYS", "10", "DAYS=10.*greater than or equal to 40"),
        ("CUSTOMERS", "many", "CUSTOMERS=many.*integer"),
        ("SEED", "-1", "SEED=-1"),
        ("BANK_ZONE", "New York", "BANK_ZONE=New York: it is not a time zone .*: write America/New_York"),
    ],
)
def test_invalid_options_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionsError, match=words):
        read_options()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA", "")
    monkeypatch.setenv("DAYS", "")
    assert read_options().feed == ["--customers", "1000", "--days", "120", "--seed", "0"]
    assert read_options(data=tmp_path).feed == ["--data", str(tmp_path)]


def test_the_bank_s_zone_reaches_every_command(monkeypatch: pytest.MonkeyPatch, installation: Installation) -> None:
    monkeypatch.setenv("BANK_ZONE", "")
    assert read_options().bank_zone == "UTC"
    assert installation.settings()["BANK_ZONE"] == ""
    monkeypatch.setenv("BANK_ZONE", "Europe/Berlin")
    there = replace(installation, bank_zone=read_options().bank_zone)
    assert there.settings()["BANK_ZONE"] == "Europe/Berlin"


def test_data_is_a_file_only_with_a_map_which_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.csv").write_text("a\n")
    (tmp_path / "my.toml").write_text('[columns]\namount = "a"\n')
    (tmp_path / "labelled.toml").write_text('[columns]\nfraud = "f"\n')
    with pytest.raises(OptionsError, match="is a file: set MAP too"):
        read_options(data="x.csv")
    with pytest.raises(OptionsError, match="MAP needs data: set DATA"):
        read_options(map="sparkov")
    with pytest.raises(OptionsError, match=r"MAP=sparkow: there is no such file: .* one of handbook, "):
        read_options(data="x.csv", map="sparkow")
    assert read_options(data="~/x.csv", map="sparkov").feed == ["--data", str(tmp_path / "x.csv"), "--map", "sparkov"]
    relative = read_options(data="x.csv", map="my.toml")
    assert relative.feed == ["--data", str(tmp_path / "x.csv"), "--map", str(tmp_path / "my.toml")]
    assert [read_options(data="x.csv", map=name).labelled for name in ("my.toml", "labelled.toml", "sparkov")] == [
        False,
        True,
        True,
    ]


def test_data_without_labels_needs_the_champion_of_the_last_demo_and_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no fraud column, so no model can be trained, and there is no champion"):
        require_champion(tmp_path)
    for name in (*CHAMPION, "postgres", "lake"):
        (tmp_path / name).mkdir()
    (tmp_path / "summary.json").touch()
    with pytest.raises(ServerError, match="there is no champion"):
        require_champion(tmp_path)
    kept = tmp_path / "champion/version-3/bundle"
    kept.mkdir(parents=True)
    (tmp_path / "champion/current.json").write_text('{"number": "3"}')
    (kept / "bundle.json").write_text("{}")
    assert zone_of_champion(tmp_path) == "UTC"
    (kept / "bundle.json").write_text('{"bank_zone": {"name": "Asia/Tokyo"}}')
    assert zone_of_champion(tmp_path) == "Asia/Tokyo"
    remove_last_demo(tmp_path, CHAMPION)
    assert {path.name for path in tmp_path.iterdir()} == set(CHAMPION)
    remove_last_demo(tmp_path, ())
    assert not tmp_path.exists()


def test_the_zone_of_a_map_is_the_bank_s_unless_one_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").touch()
    mapped = tmp_path / "my.toml"
    mapped.write_text('[time]\nzone = "Asia/Tokyo"\n')
    assert read_options(data=tmp_path / "x.csv", map=str(mapped)).bank_zone == "Asia/Tokyo"
    for zone, words in (('"Asia/Tokio"', "write Asia/Tokyo"), ("5", "write it in quotes")):
        mapped.write_text(f"[time]\nzone = {zone}\n")
        with pytest.raises(OptionsError, match=words):
            read_options(data=tmp_path / "x.csv", map=str(mapped))
    monkeypatch.setenv("BANK_ZONE", "UTC")
    assert read_options(data=tmp_path / "x.csv", map=str(mapped)).bank_zone == "UTC"


def test_rows_that_are_no_payments_are_said_in_one_line() -> None:
    loaded = {"rows_in": 1000, "refunds": 5, "refused": {"amount: missing": 2, "kind: missing": 1}}
    assert said_of_rows(loaded) == (
        "of 1,000 rows, 5 are refunds and 3 were rejected: amount: missing (2), kind: missing (1)"
    )
    assert said_of_rows({"rows": 7}) == ""


def test_a_failing_step_names_itself_and_its_log(installation: Installation) -> None:
    steps = Steps(Console(quiet=True))
    with pytest.raises(StepFailed) as caught:
        steps.command("load the bank", installation, "bank.load", "--data", "/no/such/folder")
    assert caught.value.name == "load the bank"
    assert caught.value.log == installation.logs / "load-the-bank.log"
    assert "there is no folder /no/such/folder" in caught.value.last_lines
    assert steps.done == []


def test_airflow_that_does_not_answer_is_a_failed_step(installation: Installation) -> None:
    class Silent:
        def follow(self, *_: object) -> Iterator[None]:
            raise httpx.ReadTimeout("timed out")

    with pytest.raises(StepFailed, match=r"live day: asking Airflow .*timed out") as caught:
        follow(Steps(Console(quiet=True)), installation, Silent(), "fraud_daily", "run", "live day")  # type: ignore[arg-type]
    assert caught.value.log == installation.logs / "airflow-api-server.log"


@pytest.mark.parametrize("error", [TimeoutError("no run was started"), httpx.HTTPError("403 Forbidden")])
def test_a_refused_or_late_answer_of_airflow_is_a_failed_step(installation: Installation, error: Exception) -> None:
    class Refusing:
        def start(self, *_: object) -> str:
            raise error

    with pytest.raises(StepFailed, match=f"history: asking Airflow .{error}"):
        run_dag(Steps(Console(quiet=True)), installation, Refusing(), "fraud_daily", "history", {})  # type: ignore[arg-type]


def test_runs_that_a_run_started_are_followed_too(installation: Installation) -> None:
    """For rows that landed late: the comparison that comes next needs their days."""

    class Twice:
        states: ClassVar = [{"first": "success", "again": "queued"}, {"first": "success", "again": "success"}]
        followed: ClassVar[list[str]] = []

        def start(self, *_: object) -> str:
            return "first"

        def runs(self, _: str) -> dict[str, str]:
            return self.states.pop(0)

        def follow(self, _: str, run: str, __: object) -> Iterator[TaskDone]:
            self.followed.append(run)
            yield TaskDone("ingest", "success", 1.0)

    steps = Steps(Console(quiet=True))
    run_dag(steps, installation, Twice(), "fraud_daily", "live day", {})  # type: ignore[arg-type]
    assert Twice.followed == ["first", "again"]
    assert [step["name"] for step in steps.done] == ["live day: ingest", "live day, late rows: ingest"]


def test_a_step_says_how_long_it_took() -> None:
    steps = Steps(Console(quiet=True))
    with steps.step("one"):
        pass
    assert [step["name"] for step in steps.done] == ["one"]


def test_memory_is_sampled_and_descendants_are_stopped() -> None:
    """Runs in a separate process, because it stops all its descendants."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVE_SOMETHING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    peak_mb, ended, grandchild = json.loads(done.stdout)
    assert 80 < peak_mb < 400
    assert ended >= 2
    assert not psutil.pid_exists(grandchild)


LEAVE_SOMETHING = """
import json, subprocess, sys, time
from demo.processes import MemoryWatch, adopt_orphans, descendants, stop_descendants

adopt_orphans()
code = "import subprocess, time; block = bytearray(80 << 20); subprocess.Popen(['sleep', '60']); time.sleep(3)"
with MemoryWatch() as watch:
    subprocess.run([sys.executable, '-c', code], start_new_session=True)
    subprocess.Popen(['sleep', '60'])
orphan = [process.pid for process in descendants() if process.name() == 'sleep'][0]
print(json.dumps([watch.peak_mb, stop_descendants(), orphan]))
"""


def test_the_summary_has_the_keys_that_programs_read(tmp_path: Path) -> None:
    summary = Summary(
        transactions_loaded=10, quarantined=1, feature_rows=9, model_version="1", test_average_precision=0.5,
        live_scored=3, live_mismatches=0, repeated_ids=0, decisions={"approve": 2, "review": 1, "decline": 0},
        latency_ms={"p50": 1.0, "p99": 2.0}, steps=[], peak_memory_mb=1.0, frauds=1, frauds_caught=1, seconds=1.0,
    )  # fmt: skip
    summary.write(tmp_path / "summary.json")
    assert list(json.loads((tmp_path / "summary.json").read_text())) == SUMMARY_KEYS
    console = Console(record=True, width=100, quiet=False, file=open(os.devnull, "w"))  # noqa: SIM115
    summary.show(console)
    assert "1 of 1" in console.export_text()


def test_serving_without_demo_data_says_what_to_run(tmp_path: Path) -> None:
    begin = "import sys; from pathlib import Path; from demo import command, serve; command.DEMO = Path(sys.argv[1])"
    command = [sys.executable, "-c", f"{begin}; sys.exit(serve.main())", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run `make demo` first" in done.stdout


def test_the_tail_of_a_task_log_shows_its_messages(tmp_path: Path) -> None:
    log = tmp_path / "attempt=1.log"
    log.write_text('{"event": "reading", "level": "info"}\nplain words\n{"event": "error: no such day"}\n')
    assert task_log_tail(log, lines=2) == "plain words\nerror: no such day"

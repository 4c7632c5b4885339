"""The steps of .ci/run (order, parallelism, time budget), and the tests that `make test` selects."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLAN = ROOT / ".ci/steps.toml"


def load_steps() -> ModuleType:
    """Load .ci/steps.py, which cannot be imported by name."""
    spec = importlib.util.spec_from_file_location("ci_steps", ROOT / ".ci/steps.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ci_steps"] = module
    spec.loader.exec_module(module)
    return module


steps: Any = load_steps()


def write_plan(folder: Path, *described: dict[str, Any], total_minutes: float = 1, slots: int = 2) -> Path:
    """Write a plan of these steps; `seconds` is 60 by default."""
    lines = ["[budget]", f"total_minutes = {total_minutes}", "fails_at = 2", f"slots = {slots}"]
    for one in described:
        lines.append("[[step]]")
        for key, value in ({"seconds": 60} | one).items():
            lines.append(f"{key} = {str(value).lower() if isinstance(value, bool) else value!r}")
    path = folder / "plan.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(plan: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci/steps.py"), str(plan), str(plan.parent / "logs")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_steps_fit_into_the_budget() -> None:
    """With the published data, which adds steps, and each step using its whole budget."""
    plan = steps.read_plan(PLAN, {"PUBLISHED": str(ROOT)})
    assert "published demo" in {step.name for step in plan.steps}
    assert plan.total_minutes <= 52, "40 minutes, and 12 for all that is added later"
    assert steps.forecast(plan) <= 60 * plan.total_minutes


def test_every_check_is_a_step_and_runs_in_the_hosted_workflow() -> None:
    commands = {step["command"] for step in tomllib.loads(PLAN.read_text())["step"]}
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    needed = {"lint", "demo", "test-capstones", "explore", "bench", "test", "test-faults", "test-compose"}
    for target in needed:
        assert [one for one in commands if one.split()[:2] == ["make", target]], target
        assert re.search(rf"run: make {target}\b", workflow), target


def test_the_oldest_python_runs_everything_and_newer_ones_the_smoke_test() -> None:
    supported = re.search(r'^SUPPORTED="(.+)"$', (ROOT / "requirements/find_python.sh").read_text(), re.MULTILINE)
    assert supported
    newest, *between, oldest = supported[1].split()
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert f"\n  PYTHON: python{oldest}\n" in workflow
    newer = ", ".join(f'"{version}"' for version in [*reversed(between), newest])
    assert f"python: [{newer}]" in workflow
    assert "run: make -j2 smoke\n" in workflow
    assert f"export PYTHON=python{oldest}\n" in (ROOT / ".ci/run").read_text()
    commands = {step["command"] for step in tomllib.loads(PLAN.read_text())["step"]}
    assert f".ci/on_python.sh {newest}" in commands
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text()


def test_a_step_waits_for_its_dependencies_and_others_run_in_parallel(tmp_path: Path) -> None:
    meet = "for _ in $(seq 100); do [ -e {other} ] && exit 0; sleep 0.1; done; exit 1"
    first, second = tmp_path / "first", tmp_path / "second"
    done = run(
        write_plan(
            tmp_path,
            {"name": "last", "command": f"test -e {first} && test -e {second}", "after": ["one", "two"]},
            {"name": "one", "command": f"touch {first}; {meet.format(other=second)}"},
            {"name": "two", "command": f"touch {second}; {meet.format(other=first)}"},
        )
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^last .*\n\n", done.stdout, re.MULTILINE)


def test_slots_limit_parallel_steps_and_a_background_step_takes_none(tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/held; sleep 0.2; rmdir {tmp_path}/held"
    waits = f"for _ in $(seq 100); do [ -e {tmp_path}/over ] && exit 0; sleep 0.1; done; exit 1"
    done = run(
        write_plan(
            tmp_path,
            {"name": "waits", "command": waits, "background": True},
            {"name": "one", "command": alone},
            {"name": "two", "command": alone},
            {"name": "end", "command": f"touch {tmp_path}/over", "after": ["one", "two"]},
            slots=1,
        )
    )
    assert done.returncode == 0, done.stdout


def test_a_failed_step_is_printed_its_dependents_are_skipped_and_all_others_run(tmp_path: Path) -> None:
    done = run(
        write_plan(
            tmp_path,
            {"name": "bad", "command": "echo the cause; exit 3"},
            {"name": "needs it", "command": "echo never", "after": ["bad"]},
            {"name": "needs that", "command": "echo never", "after": ["needs it"]},
            {"name": "good", "command": f"sleep 0.3; echo quiet; touch {tmp_path}/good"},
        )
    )
    assert done.returncode == 1
    assert (tmp_path / "good").exists()
    assert "\nthe cause\n" in done.stdout
    assert "\nquiet\n" not in done.stdout
    assert "\nnever\n" not in done.stdout
    assert [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("needs ")] == ["run", "run"]
    assert done.stderr.splitlines() == ["error: bad failed"]


def test_a_run_over_its_budget_is_reported_and_one_far_over_it_fails(tmp_path: Path) -> None:
    slow = {"name": "slow", "command": "sleep 1.5", "seconds": 1}
    noted = run(write_plan(tmp_path, slow))
    assert noted.returncode == 0
    assert re.search(r"^slow .* over its budget$", noted.stdout, re.MULTILINE)
    assert "warning" not in noted.stdout
    warned = run(write_plan(tmp_path, slow, total_minutes=0.02))
    assert warned.returncode == 0
    assert "warning: the run took 0.0 minutes of 0.02" in warned.stdout
    failed = run(write_plan(tmp_path, slow, total_minutes=0.01))
    assert failed.returncode == 1
    assert "of 0.01 (.ci/steps.toml); steps over their own budgets: slow by " in failed.stderr


def test_steps_are_skipped_without_their_folder(tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path,
        {"name": "data", "command": "true", "only_with": "DATA_FOLDER"},
        {"name": "after it", "command": "true", "after": ["data"]},
    )
    for folder, names in (
        (str(tmp_path), ["data", "after it"]),
        (f"{tmp_path}/none", ["after it"]),
        ("", ["after it"]),
    ):
        assert [step.name for step in steps.read_plan(plan, {"DATA_FOLDER": folder}).steps] == names


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ([{"name": "a", "command": "true"}, {"name": "a", "command": "true"}], "two steps are called 'a'"),
        ([{"name": "a", "command": "true", "after": ["b"]}], r"'a' waits for \['b'\], which is not a step"),
        (
            [{"name": "a", "command": "true", "after": ["b"]}, {"name": "b", "command": "true", "after": ["a"]}],
            "wait for one another",
        ),
        ([{"name": "a", "command": "true", "minutes": 1}], "minutes"),
        ([{"name": "a"}], "command"),
    ],
)
def test_an_invalid_plan_is_rejected(tmp_path: Path, described: list[dict[str, Any]], words: str) -> None:
    plan = write_plan(tmp_path, *described)
    with pytest.raises(steps.PlanError, match=words):
        steps.read_plan(plan)
    assert run(plan).returncode == 2


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell, even if `make test` started these tests."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "TESTS"))
    }
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", ["tests/no_such", "tests/bank tests/no_such.py", "bank", "tests/faults"])
def test_make_test_names_a_path_without_tests(path: str) -> None:
    done = make("test", f"TESTS={path}")
    assert done.returncode != 0
    assert f"error: TESTS={path.rsplit(maxsplit=1)[-1]}: 'make test' has no tests there" in done.stderr
    assert "TESTS='tests/bank tests/dags'" in done.stderr


@pytest.mark.parametrize(
    ("paths", "runs"),
    [
        ("tests/bank", {("pipeline", "tests/bank")}),
        ("tests/dags/ tests/bank/test_load.py", {("airflow", "tests/dags"), ("pipeline", "tests/bank/test_load.py")}),
        ("tests/test_docs.py::test_a", {("embedded", "tests/test_docs.py::test_a")}),
    ],
)
def test_make_test_runs_the_given_paths(paths: str, runs: set[tuple[str, str]]) -> None:
    said = make("--dry-run", "test", f"TESTS={paths}").stdout
    found = re.findall(r"var/env/(\w+)/bin/python .*-m pytest (.*)", said)
    assert {(environment, " ".join(picked.split())) for environment, picked in found} == runs

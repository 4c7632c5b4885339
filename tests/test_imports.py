"""The import rule: roles import the contracts and never one another."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROLES = {"bank", "spark_jobs", "modeling", "serving", "demo", "containers", "dags"}
MAY_IMPORT = {
    "contracts": {"contracts"},
    "bank": {"bank", "contracts"},
    "spark_jobs": {"spark_jobs", "contracts"},
    "modeling": {"modeling", "contracts"},
    "serving": {"serving", "contracts"},
    "demo": {"demo"},
    "containers": {"containers", "contracts", "demo"},
    "dags": {"shared"},
    "benchmarks": {"benchmarks", "bank", "contracts", "demo", "modeling", "serving"},
    # Each check compares an answer with production code.
    "exercises": {"exercises", "bank", "contracts", "demo", "modeling", "serving", "spark_jobs"},
}
CONTRACTS_LIBRARIES = {"cryptography", "numba", "numpy", "pydantic"}
OURS = ROLES | {"contracts", "benchmarks", "exercises", "tests"}


def imported(source: str) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            names.add((node.module or "").partition(".")[0])
    return names


def broken_rules(folder: str, source: str) -> set[str]:
    """The imports of a file that are not allowed in its folder."""
    names = imported(source)
    wrong = (names & OURS) - MAY_IMPORT[folder]
    if folder == "contracts":
        wrong |= names - MAY_IMPORT[folder] - CONTRACTS_LIBRARIES - set(sys.stdlib_module_names)
    return wrong


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_each_folder_imports_only_what_it_may(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        assert not broken_rules(folder, file.read_text()), file.relative_to(ROOT)


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("contracts", "import pandas"),
        ("contracts", "def late():\n    from pyarrow import csv"),
        ("serving", "from modeling.evaluation.gate import judge"),
        ("modeling", "import spark_jobs.lake.layout"),
        ("dags", "from contracts.days import DayRange"),
        ("demo", "import contracts.features as f"),
        ("benchmarks", "from tests.serving.running import ok"),
        ("modeling", "from benchmarks.handbook.run import benchmark"),
    ],
)
def test_the_rule_can_fail(folder: str, source: str) -> None:
    assert broken_rules(folder, source)


def test_the_rule_covers_every_folder_of_code() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"dags"}
    assert packages - {"tests"} <= set(MAY_IMPORT)

"""Documentation that fails here when it drifts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OTHERWISE = ("tests/capstones", "tests/compose", "tests/faults", "tests/published")
"""Tests with a command of their own."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS = [*sorted(ROOT.glob("*/settings.py")), ROOT / "demo/options.py", ROOT / "benchmarks/handbook/options.py"]


def fields_of(file: Path) -> set[str]:
    """The fields of a file's settings classes."""
    classes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    settings = [node for node in classes if any("BaseSettings" in ast.unparse(base) for base in node.bases)]
    return {
        item.target.id
        for node in settings
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.parent.name)
def test_every_setting_stands_in_the_example_or_among_the_secrets(file: Path) -> None:
    fields = fields_of(file)
    assert fields
    example = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    secrets = set(re.findall(r"`(\w+)`", (ROOT / "docs/architecture.md").read_text()))
    assert {name for name in fields if name.upper() not in example and name not in secrets} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_make_targets_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make ([a-z-]+)[^`]*`|^make ([a-z-]+)", text, re.MULTILINE)
    assert {a or b for a, b in named} <= targets


def test_make_test_runs_every_test_that_needs_no_docker() -> None:
    lists = re.findall(r"^TESTS_\w+ := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    run = [ROOT / path for line in lists for path in line.split()]
    assert all(path.exists() for path in run)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        by_another_command = any(file.is_relative_to(ROOT / folder) for folder in OTHERWISE)
        assert by_another_command != any(file.is_relative_to(path) for path in run), file.relative_to(ROOT)


def test_the_architecture_page_names_every_feature_table_and_secret() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    secrets = ast.parse((ROOT / "demo/secret_files.py").read_text())
    names = {
        node.value
        for node in ast.walk(secrets)
        if isinstance(node, ast.Constant) and str(node.value).endswith("_password")
    }
    assert names
    assert all(name in page for name in names)


def test_no_page_names_this_machine() -> None:
    for page in PAGES:
        assert str(ROOT) not in page.read_text(), page

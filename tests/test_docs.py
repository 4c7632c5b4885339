"""Checks that the documentation matches the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OTHERWISE = ("tests/capstones", "tests/compose", "tests/faults", "tests/published")
"""Tests with a command of their own."""
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "exercises").rglob("*.md")),
]
SETTINGS = [*sorted(ROOT.glob("*/settings.py")), ROOT / "demo/options.py", ROOT / "benchmarks/handbook/options.py"]
OPTIONS = [
    ROOT / "demo/options.py",
    *(ROOT / f"benchmarks/{name}/options.py" for name in ("features", "handbook", "scorer")),
]


def fields_of(file: Path) -> set[str]:
    """The fields of the settings classes in a file."""
    classes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    settings = [node for node in classes if any("BaseSettings" in ast.unparse(base) for base in node.bases)]
    return {
        item.target.id
        for node in settings
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.parent.name)
def test_every_setting_is_in_the_example_or_among_the_secrets(file: Path) -> None:
    fields = fields_of(file)
    assert fields
    example = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    secrets = set(re.findall(r"`(\w+)`", (ROOT / "docs/architecture.md").read_text()))
    assert {name for name in fields if name.upper() not in example and name not in secrets} == set()


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_of(page: Path) -> list[str]:
    """The lines of a page's code blocks, and its code in backticks."""
    text = page.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    return [line for block in blocks for line in block.splitlines()] + inline


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub generates for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def make_help() -> dict[str, str]:
    """Each target of the Makefile, with its help text."""
    rules = re.findall(r"^([a-z-]+):(?:.*?## (.*))?", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {target: said for target, said in rules if said}


def variables_read() -> set[str]:
    """The names of the variables that commands read."""
    read = re.findall(r"^\s+(\w+): .* = ", "\n".join(path.read_text() for path in OPTIONS), re.MULTILINE)
    places = [ROOT / "Makefile", ROOT / "docker-compose.yml", *sorted((ROOT / "tests/faults").glob("*.py"))]
    text = "\n".join(path.read_text() for path in places)
    return {name.upper() for name in read} | set(re.findall(r"""(?:\$\$?[({]|get\(")([A-Z_]+)""", text))


@each_page
def test_links_and_their_anchors_exist(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if target.startswith("https://"):
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked), f"{target}#{anchor}"


@each_page
def test_paths_in_code_exist(page: Path) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "var"}
    for word in (word for line in code_of(page) for word in re.split(r"[\s=\"\'()]+", line)):
        path = word.rstrip(".,:;")
        if path.split("/")[0] in folders and "/" in path and not re.search(r"[<>*{}$]", path):
            assert (ROOT / path).exists(), path


@each_page
def test_make_targets_and_their_variables_exist(page: Path) -> None:
    targets = make_help()
    for line in code_of(page):
        for target, rest in re.findall(r"(?:^|\| *|; *)make ([a-z-]+)((?: \w+=\S+)*)", line):
            assert target in targets, line
            for variable in re.findall(r"(\w+)=", rest):
                assert f"{variable}=" in targets[target], f"`make` does not mention {variable} of make {target}"
                assert variable in variables_read(), line


@each_page
def test_python_modules_exist(page: Path) -> None:
    for line in code_of(page):
        for name in re.findall(r"\bpython -m ([\w.]+)", line):
            module = ROOT / name.replace(".", "/")
            assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), name


def test_the_list_of_commands_is_complete() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    assert {target for target in make_help() if f"`make {target}" not in page} == {"help"}


def test_events_named_for_operators_are_logged() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    named = {a or b for a, b in re.findall(r"event `([a-z ]+)`|`([a-z ]+)` event", page)}
    code = "\n".join(path.read_text() for path in (ROOT / "serving").rglob("*.py"))
    assert named
    assert {name for name in named if f'"{name}"' not in code} == set()


def test_every_decision_is_in_the_index_under_its_title() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    for page in sorted((ROOT / "docs/decisions").glob("0*.md")):
        number, title = page.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)
        assert page.name.startswith(f"{int(number):04d}-")
        assert f"| {number} | [{title}]({page.name}) |" in index


@pytest.mark.parametrize("source", sorted((ROOT / "docs/diagrams").glob("*.mmd")), ids=lambda path: path.stem)
def test_diagrams_are_drawn_from_their_source_as_plain_svg(source: Path) -> None:
    drawing = source.with_suffix(".svg").read_text()
    assert "<foreignObject" not in drawing
    shown = set(re.findall(r"\w{4,}", " ".join(re.findall(r">([^<]+)<", drawing))))
    labels = re.findall(r'"`?([^"`]+)`?"|: (.+)$|over [\w,]+: (.+)$', source.read_text(), re.MULTILINE)
    words = {word for found in labels for word in re.findall(r"\w{4,}", re.sub("<br/>", " ", " ".join(found)))}
    assert words
    assert words - shown == set(), "run make diagrams"


def test_images_are_small() -> None:
    for image in (ROOT / "docs/images").iterdir():
        assert image.stat().st_size < 200_000, image.name


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

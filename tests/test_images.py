"""The Dockerfiles: shared stages have the same text, so that they are built once and cannot drift apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(ROOT.glob("*/Dockerfile"))
BASE = "python:3.13-slim-trixie"


def stages(file: Path) -> dict[str, str]:
    """The named stages of a Dockerfile, without comments; the last one is `final`."""
    text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#"))
    found = {}
    for block in re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"FROM \S+ AS (\S+)", block)
        found[name[1] if name else "final"] = block.strip()
    return found


def differing(files: list[dict[str, str]]) -> set[str]:
    """The stages with the same name but different text in several files."""
    texts: dict[str, set[str]] = {}
    for one in files:
        for name, text in one.items():
            if name != "final":
                texts.setdefault(name, set()).add(text)
    return {name for name, some in texts.items() if len(some) > 1}


def test_shared_stages_are_the_same() -> None:
    assert [file.parent.name for file in FILES] == ["dags", "modeling", "serving", "spark_jobs"]
    assert differing([stages(file) for file in FILES]) == set()
    assert differing([{"uv": "FROM a"}, {"uv": "FROM b"}]) == {"uv"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_each_has_several_stages_on_the_same_base_and_ends_without_root(file: Path) -> None:
    found = stages(file)
    bases = {text.split()[1] for text in found.values()}
    assert bases <= {BASE, *found}
    assert list(found)[-1] == "final"
    assert "USER 10001:10001" in found["final"]
    assert "/uv/bin" not in found["final"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_dependencies_come_before_code(file: Path) -> None:
    final = stages(file)["final"]
    environments = [final.index(line) for line in re.findall(r"COPY --from=\S+.*", final)]
    code = min(final.index(line) for line in re.findall(r"^COPY [a-z]\S* .*", final, re.MULTILINE))
    assert all(place < code for place in environments)
    for text in stages(file).values():
        assert "require-hashes" in text or "uv pip install" not in text

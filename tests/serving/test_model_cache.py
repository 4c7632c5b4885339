"""The cached champion after a power failure: whole, or the one before."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.bundle import verify
from serving.model.champion import FILES
from serving.model.model_cache import CURRENT, ModelCache
from serving.model.registry_client import Version
from tests.disk import record
from tests.serving.bundles import write_bundle


def test_files_are_on_the_disk_before_their_name_and_both_before_the_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, bundle = ModelCache(tmp_path / "cache"), write_bundle(tmp_path / "bundle")
    cache.keep(Version("1", "models:/m-1"), bundle)
    disk = record(monkeypatch, tmp_path / "cache")
    cache.keep(Version("2", "models:/m-2"), bundle)
    steps = disk.steps
    named = disk.index("rename", "version-2")
    for file in bundle.rglob("*"):
        flushed = [
            step for step, path in steps[:named] if step == "flush" and path.endswith(f"/{file.relative_to(bundle)}")
        ]
        assert flushed, f"{file.name} is flushed before its folder gets its name"
    current = disk.index("rename", CURRENT)
    assert ("flush", ".") in steps[named:current], "the folder's name before the file that names it"
    assert ("flush", ".") in steps[current : disk.index("remove", "version-1")], "both before the old version goes"
    found = cache.read()
    assert found
    assert found[0].number == "2"
    verify(found[1], FILES)

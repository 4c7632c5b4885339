"""API keys are added and revoked without a restart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkey

from serving.middleware.api_keys import ApiKeys
from serving.middleware.key_file import KeyFile
from serving.observability.metrics import Metrics
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, wait_for
from tests.serving.test_workers import workers


def entry(key: str, **other: Any) -> dict[str, Any]:
    return {"name": key, "sha256": hashlib.sha256(key.encode()).hexdigest(), "scopes": ["read"]} | other


def write(folder: Path, text: str) -> None:
    """Replace the file, as an operator does."""
    (folder / "new").write_text(text)
    (folder / "new").rename(folder / "api_keys")


def statuses(scorer: ScorerProcess, key: str) -> set[int]:
    """The statuses of some requests over new connections, so that every worker answers one."""
    return {
        httpx.get(f"http://127.0.0.1:{scorer.port}/v1/model", headers={"X-API-Key": key}, timeout=30).status_code
        for _ in range(10)
    }


def metric(scorer: ScorerProcess) -> float:
    (line,) = [one for one in scorer.client.get("/metrics").text.splitlines() if one.startswith("scorer_api_keys_p")]
    return float(line.split()[-1])


def test_keys_are_rotated_and_revoked_in_every_worker(
    start: Start, state: valkey.Valkey, secrets: Path, tmp_path: Path
) -> None:
    for name in ("valkey_password", "decisions_password", "model_public_keys"):
        (tmp_path / name).write_text((secrets / name).read_text())
    write(tmp_path, json.dumps([entry("old")]))
    scorer = start(ready=False, SECRETS_DIR=str(tmp_path), SCORER_WORKERS="2")
    wait_for(lambda: len(workers(scorer)) == 2 and statuses(scorer, "old") == {200})
    write(tmp_path, json.dumps([entry("old"), entry("new", rate="1000/second")]))
    wait_for(lambda: statuses(scorer, "new") == {200}, patience=8)
    assert statuses(scorer, "old") == {200}
    write(tmp_path, json.dumps([entry("new", scopes=["score"])]))
    wait_for(lambda: statuses(scorer, "old") == {401} and statuses(scorer, "new") == {403}, patience=8)
    write(tmp_path, "[")
    wait_for(lambda: metric(scorer) == 1, patience=8)
    assert statuses(scorer, "new") == {403}
    assert '"api keys not reloaded"' in scorer.log.read_text()
    write(tmp_path, json.dumps([entry("new")]))
    wait_for(lambda: statuses(scorer, "new") == {200} and metric(scorer) == 0, patience=8)
    assert scorer.stop() == 0


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Callable[[], list[str]], ApiKeys, Metrics]:
    """Checks the file and returns the keys that are accepted then."""
    write(tmp_path, json.dumps([entry("one")]))
    api_keys, metrics = ApiKeys([], None), Metrics()  # type: ignore[arg-type]  # no key has a rate
    file = KeyFile(tmp_path, api_keys, metrics)

    def check() -> list[str]:
        asyncio.run(file.refresh())
        return [key for key in ("one", "two") if api_keys.find(key.encode())]

    return check, api_keys, metrics


BROKEN: dict[str, Callable[[Path], object]] = {
    "half a list": lambda path: path.write_text(json.dumps([entry("two")])[:40]),
    "empty": lambda path: path.write_text(""),
    "no key": lambda path: path.write_text("[]"),
    "not UTF-8": lambda path: path.write_bytes(b"\xff"),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_invalid_file_changes_nothing_and_is_logged_once(
    watched: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    check, _, metrics = watched
    path = tmp_path / "api_keys"
    assert check() == ["one"]
    with caplog.at_level(logging.INFO, "serving"):
        BROKEN[case](path)
        assert check() == check() == ["one"]
        assert metrics.api_keys_problem._value.get() == 1
        if path.is_dir():
            path.rmdir()
        write(tmp_path, json.dumps([entry("two")]))
        assert check() == ["two"]
    assert metrics.api_keys_problem._value.get() == 0
    assert [record.getMessage() for record in caplog.records] == ["api keys not reloaded", "api keys reloaded"]
    for key in ("one", "two"):
        assert entry(key)["sha256"] not in caplog.text


def test_a_file_is_read_only_when_it_changed(watched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check, *_ = watched
    reads = []
    real = Path.read_text

    def counted(path: Path, *arguments: Any) -> str:
        reads.append(path)
        return real(path, *arguments)

    monkeypatch.setattr(Path, "read_text", counted)
    for _ in range(3):
        assert check() == ["one"]
    assert len(reads) == 1
    # Of the same size, at the same time.
    before = (tmp_path / "api_keys").stat()
    write(tmp_path, json.dumps([entry("two")]))
    os.utime(tmp_path / "api_keys", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check() == ["two"]

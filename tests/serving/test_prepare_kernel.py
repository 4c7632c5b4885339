"""A scorer without a compiled kernel compiles it before it is ready, once for all workers, and logs that."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import valkey

import serving.__main__
from contracts.compiled import KernelError, load
from demo.embedded_servers import free_port
from serving.observability.logging import LOGGER
from serving.scoring import prepare_kernel
from tests.serving.running import KEYS, ROOT, body, wait_for

PATIENCE = 200
COMPILED = "kernel compiled"
READY = "Application startup complete."


def events_of(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project without what an installation compiles, and with a kernel that compiles quickly."""
    for name in ("contracts", "serving"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "tests/contracts/stub_kernel.py", tmp_path / "clone/contracts/kernel.py")
    return tmp_path / "clone"


@pytest.fixture
def workers(clone: Path, settings: dict[str, str]) -> Iterator[tuple[int, Path]]:
    """The port and the log of a scorer with two workers, of the clone."""
    log, port = clone / "log", free_port()
    own = {"SCORER_WORKERS": "2", "SCORER_PORT": str(port), "SCORER_CHAMPION_DIR": str(clone / "champion")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            cwd=clone,
            env=os.environ | settings | own | {"PYTHONPATH": str(clone)},
            stdout=out,
            stderr=out,
        )
    yield port, log
    # Workers end with their supervisor.
    process.kill()
    process.wait()


def test_workers_without_a_compiled_kernel_compile_it_once_before_they_answer(
    workers: tuple[int, Path], state: valkey.Valkey, fresh: Callable[[], int]
) -> None:
    assert state.ping()
    port, log = workers
    wait_for(lambda: events_of(log).count(READY) == 2, log.read_text, PATIENCE)
    answer = httpx.post(
        f"http://127.0.0.1:{port}/v1/score",
        json=body(fresh(), 1, 2, 300, 1_533_000_000),
        headers={"X-API-Key": KEYS["score"]},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    events = events_of(log)
    assert events.count(COMPILED) == 1
    assert events.index(COMPILED) < events.index(READY)
    assert len(list((log.parent / "var/cache/kernel").glob("kernel-*"))) == 1


def test_a_kernel_that_cannot_be_kept_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load()
    with caplog.at_level(logging.INFO, LOGGER.name):
        for kernel in (loaded, replace(loaded, seconds=9.06), replace(loaded, seconds=9.06, folder=None)):
            monkeypatch.setattr(prepare_kernel, "load", lambda kernel=kernel: kernel)
            prepare_kernel.prepare_kernel()
    found = [(record.levelno, record.message, record.__dict__["fields"]["seconds"]) for record in caplog.records]
    seconds = pytest.approx(9.1)
    assert found[-2:] == [(logging.INFO, COMPILED, seconds), (logging.WARNING, COMPILED, seconds)]
    assert len([message for _, message, _ in found if message == COMPILED]) == 2


def test_a_scorer_that_cannot_run_the_kernel_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise KernelError("the feature kernel needs llvmlite: run `make install`")

    monkeypatch.setattr(serving.__main__, "check_platform", fail)
    assert serving.__main__.main() == 1
    assert capsys.readouterr().err == "serving: the feature kernel needs llvmlite: run `make install`\n"

"""The health check passes only if the URL answers with the expected values."""

from __future__ import annotations

import subprocess
import sys

import pytest

from containers.health_check import why_not
from demo.embedded_servers import ROOT, free_port
from tests.containers.conftest import Rehearsed

ANSWERS = {
    "/well": (200, b'{"scheduler": {"status": "healthy"}, "late": null}'),
    "/list": (200, b"[1, 2]"),
    "/text": (200, b"OK"),
    "/down": (500, b'{"scheduler": {"status": "healthy"}}'),
}


@pytest.mark.parametrize(
    ("path", "wanted", "problem"),
    [
        ("/well", ["scheduler.status=healthy"], ""),
        ("/text", [], ""),
        ("/well", ["scheduler.status=idle"], "scheduler.status is 'healthy', not 'idle'"),
        ("/well", ["triggerer.status=healthy"], "triggerer.status is None"),
        ("/well", ["late.status=healthy"], "late.status is None"),
        ("/list", ["status=healthy"], "status is None"),
        ("/text", ["status=healthy"], "Expecting value"),
        ("/down", ["scheduler.status=healthy"], "500"),
    ],
)
def test_the_reason_for_a_failure_is_printed(server: Rehearsed, path: str, wanted: list[str], problem: str) -> None:
    server.answers = ANSWERS
    found = why_not(server.url + path, wanted)
    assert problem in found if problem else found == ""


def test_the_exit_code(server: Rehearsed) -> None:
    server.answers = ANSWERS
    for url, code in ((f"{server.url}/text", 0), (f"{server.url}/down", 1), (f"http://127.0.0.1:{free_port()}/", 1)):
        command = [sys.executable, "-m", "containers.health_check", url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert bool(done.stdout) == bool(code)

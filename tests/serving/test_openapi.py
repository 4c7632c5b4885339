"""Random requests to the documented API: every response is documented, and none is a 500."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import valkey

from contracts.online_state import META_KEY, Stamp
from tests.serving.conftest import Start
from tests.serving.running import KEYS, ROOT, ScorerProcess

PROGRAM = ROOT / "var/env/fuzz/bin/schemathesis"
RULES = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 150
DATABASE = 13


@pytest.fixture
def own(start: Start, valkey_server: Any, postgres: Any, make_database: Callable[[Any, str], str]) -> ScorerProcess:
    """A scorer with separate stores, because the random ids may be those of other tests."""
    with valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=DATABASE) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())
    address = f"valkey://127.0.0.1:{valkey_server.port}/{DATABASE}"
    return start(VALKEY_URL=address, DECISIONS_URL=make_database(postgres, "decisions_asked_at_random"))


def test_schemathesis_finds_nothing(own: ScorerProcess, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{own.port}/openapi.json"
    command = [str(PROGRAM), "--config-file", str(RULES), "run", address, "--header", f"X-API-Key:{KEYS['all']}"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "0", "--no-color"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert own.client.get("/readyz").status_code == 200

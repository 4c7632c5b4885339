"""The documented interface, asked at random: what is answered is what is documented, and never a 500."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.serving.running import KEYS, ROOT, ScorerProcess

PROGRAM = ROOT / "var/env/fuzz/bin/schemathesis"
RULES = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 150


def test_schemathesis_finds_nothing(scorer: ScorerProcess, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{scorer.port}/openapi.json"
    command = [str(PROGRAM), "--config-file", str(RULES), "run", address, "--header", f"X-API-Key:{KEYS['all']}"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "0", "--no-color"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert scorer.client.get("/readyz").status_code == 200

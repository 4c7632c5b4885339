"""Load a model version in a child process first: a damaged checkpoint can crash the process that loads it.

`python -m serving.model.sandbox_load FOLDER` prints `{"margin": ...}`, of the reference payment. It exits with 1 and
the reason on standard error if the version cannot be loaded.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from contracts.bundle import REBUILD, RETRAIN, TREES, BundleError
from serving.model.champion import Champion, load_champion, reference_margin

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS: Final = 60.0


async def load_in_sandbox(root: Path, version: str) -> Champion:
    """Load the model version under `root` once a child process has loaded it. Raises `BundleError`."""
    expected = await _margin_in_child(root)
    champion = await asyncio.to_thread(load_champion, root, version)
    margin = reference_margin(champion)
    if margin != expected:
        raise BundleError(
            f"{TREES} gives {margin} for the reference payment here, but {expected} in the child process: {RETRAIN}"
        )
    return champion


async def _margin_in_child(root: Path) -> float:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serving.model.sandbox_load", str(root),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(child.communicate(), TIMEOUT_SECONDS)
    except TimeoutError:
        raise BundleError(
            f"{TREES} was not loaded within {TIMEOUT_SECONDS:.0f} s: free CPU time or train fewer trees"
        ) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        said = err.decode(errors="replace").strip().splitlines()
        crash = f"loading {TREES} crashed the process (exit code {child.returncode}): {REBUILD}"
        raise BundleError(said[-1] if said else crash)
    return float(json.loads(out)["margin"])


def main(folder: str) -> int:
    """Load the version in `folder` and score the reference payment."""
    try:
        print(json.dumps({"margin": reference_margin(load_champion(Path(folder), "sandbox"))}))
    except BundleError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

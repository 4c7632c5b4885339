"""Withdraw the champion: scorers use no model until another is promoted. `python -m modeling.withdraw --version`.

The alias stays where it is, and the version is tagged with a withdrawal that is signed like a promotion: scorers that
merely find no champion in MLflow keep the one they have.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from modeling.errors import ModelingError
from modeling.runner import run
from modeling.settings import Settings, read_settings
from modeling.tracking.bundle_signature import read_signing_key, was_withdrawn, withdraw_version
from modeling.tracking.mlflow_client import champion_version, registry


def withdraw(version: str, settings: Settings) -> dict[str, Any]:
    """Withdraw a version permanently, if it is the champion; returns whether it was withdrawn now, and why if not.

    Raises `ModelingError` if another version is champion, or without the key that signs.
    """
    key = read_signing_key(settings)
    with registry(settings) as client:
        champion = champion_version(client, settings)
        if champion is None or str(champion.version) != version:
            current = f"version {champion.version} is" if champion else "there is none"
            raise ModelingError(
                f"version {version} of {settings.model_name!r} is not the champion ({current}): no scorer uses it, and "
                "only the champion can be withdrawn"
            )
        if was_withdrawn(champion):
            return {"model_version": version, "withdrawn": False, "reason": "it was already withdrawn"}
        withdraw_version(client, key, champion, settings)
    return {"model_version": version, "withdrawn": True, "reason": "scorers stop using it at their next poll"}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.withdraw", description=__doc__)
    parser.add_argument(
        "--version", required=True, metavar="NUMBER", help="the champion's version, as /v1/model shows it"
    )
    print(json.dumps(withdraw(parser.parse_args().version, read_settings())))


if __name__ == "__main__":
    run(main)

"""The bank's addresses: the scorer of this machine is asked without a proxy, and no message shows a password."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bank.errors import BankError
from bank.scorer_client import ScorerClient
from tests.bank.conftest import TinyScorer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` excepts every server from proxies, which would leave nothing to test."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_PROXY": "http://127.0.0.1:9"},
        {"http_proxy": "http://127.0.0.1:9", "NO_PROXY": "fd00::/8,[::1]"},
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTPS_PROXY": "::::"},
    ],
)
def test_a_scorer_of_this_machine_is_asked_without_a_proxy(
    tiny: TinyScorer, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with ScorerClient(tiny.url, tiny.key) as scorer:
        assert scorer.is_ready()


def test_an_unusable_proxy_to_a_scorer_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://bob:s3cr3t@127.0.0.1:9")
    with pytest.raises(BankError, match=r"SCORER_URL cannot be used: the proxy socks5://\*\*\*@127") as caught:
        ScorerClient("https://scorer.example.org", "key")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BANK_URL", "postgresql://bob:s3cr3t@127.0.0.1:1/bank"),
        ("BANK_URL", "postgres//bob:s3cr3t@127.0.0.1:1/bank"),
        ("BANK_URL", "postgresql://127.0.0.1:1/bank?nosuch=1&password=s3cr3t"),
    ],
)
def test_a_command_s_error_shows_no_password(secrets_dir: Path, variable: str, value: str) -> None:
    command = [sys.executable, "-m", "bank.load", "--customers", "50", "--days", "40", "--seed", "1"]
    environment = os.environ | {"SECRETS_DIR": str(secrets_dir), "PYTHONPATH": str(ROOT), variable: value}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: the bank's database" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr


@pytest.mark.parametrize("url", ["http://bob:s3cr3t@127.0.0.1:1", "http://bob:s3c/r3t@127.0.0.1:1"])
def test_the_scorer_s_address_is_shown_without_its_password(url: str) -> None:
    def rejected() -> None:
        with ScorerClient(url, "key") as scorer:
            assert not scorer.is_ready()
            raise BankError(f"the scorer at {scorer._url}")

    with pytest.raises(BankError, match=r"http://\*\*\*@127") as caught:
        rejected()
    assert "r3t" not in str(caught.value)

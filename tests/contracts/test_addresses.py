"""Addresses: no credentials in a text, no proxy to the pipeline's own servers."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.addresses import is_own, local_folder, problem_of, proxy_for, redact

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t"
ELSEWHERE = "https://mlflow.example.org:8443/base"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "text",
    [
        f"MLflow at http://bob:{SECRET}@mlflow:5000 is not responding",
        f"'http://bob:{SECRET}@mlflow:5000/api?x=1'",
        f"postgresql://{SECRET}@host/db",
        f"valkey://:{SECRET}@host:6379/0",
        f"https://bob:a@{SECRET}@host and http://eve:{SECRET}/{SECRET}?{SECRET}#{SECRET}@host",
        f'missing "=" after "postgres//bob:{SECRET}@host/db" in connection info string',
        f"bob:{SECRET}@host:5432",
        f"postgresql://host/db?password={SECRET}&sslmode=require",
        f"host=a password='{SECRET} {SECRET}' dbname=b",
        f"sslpassword={SECRET} PGPASSWORD={SECRET} api_key={SECRET}",
        f"ProxyError(http://bob:{SECRET}@proxy:3128)",
        f"a://b:{SECRET}@c,d://e:{SECRET}@f",
        f"http://u:{SECRET}'{SECRET}@h",
        f'unexpected spaces found in "postgresql://u:{SECRET} {SECRET}@h/db", use percent-encoded spaces',
    ],
)
def test_credentials_are_hidden(text: str) -> None:
    assert SECRET not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "MLflow at http://mlflow:5000 is not responding (ConnectError('All connection attempts failed'))",
        "models:/fraud@champion not found",
        "2018-08-31T10:00:00: version 3; sha256:0123",
        "port 5432 of 127.0.0.1: see docs/operations.md#modelproblem",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert redact(text) == text


@given(
    user=st.text(string.ascii_letters, max_size=5),
    password=st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1),
    scheme=st.sampled_from(["http", "https", "postgresql", "valkey", "postgresql+psycopg"]),
    around=st.sampled_from(["{}", "at {} it failed", "({})", "'{}'", "{}: no", "a={}, b"]),
)
def test_no_password_of_an_address_is_shown(user: str, password: str, scheme: str, around: str) -> None:
    shown = redact(around.format(f"{scheme}://{user}:{password}zzz@host:1/x"))
    assert "zzz" not in shown
    assert "host:1/x" in shown


@pytest.mark.parametrize(
    "url",
    [
        "http://u:pa/ss@h:1",
        "http://u:pa?ss@h:1",
        "http://u:pa#ss@h",
        "http://[::1",
        "http://h:99999",
        "valkey://h:port/0",
    ],
)
def test_a_misread_address_is_named_without_being_repeated(url: str) -> None:
    assert problem_of(url)
    assert "pa" not in problem_of(url).replace("password", "")


@pytest.mark.parametrize(
    "url",
    ["http://h:1", "http://u:p%2Fx@h:1/a", "valkey://:p@[::1]:6379/0", "unix:///run/v.sock", "sqlite:///var/a.db", "x"],
)
def test_a_well_formed_address_has_no_problem(url: str) -> None:
    assert problem_of(url) == ""


OWN = [
    "http://127.0.0.1:5000",
    "http://127.9.9.9",
    "http://127.1:5000",
    "http://localhost:5000",
    "http://LOCALHOST.:5000",
    "http://a.localhost",
    "http://[::1]:5000",
    "http://[::ffff:127.0.0.1]:5000",
    "http://0.0.0.0:1",
    "http://bob:secret@127.0.0.1:5000",
    "http://mlflow:5000",
    "http://airflow-api-server:8080",
    "sqlite:///var/tune/mlflow.db",
    "",
]


@pytest.mark.parametrize("url", OWN)
@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_PROXY": "http://127.0.0.1:3128"},
        {"http_proxy": "http://127.0.0.1:3128", "NO_PROXY": "fd00::/8,[::1]/128,10.0.0.0/8"},
        {"ALL_PROXY": "socks5://127.0.0.1:1080", "HTTPS_PROXY": "::::", "no_proxy": ",,;*x"},
        {"all_proxy": "socks5h://[::1"},
    ],
)
def test_the_pipeline_s_own_servers_have_no_proxy(
    url: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_own(url)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"all_proxy": "http://u:p@proxy:3128"}, "http://u:p@proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "fd00::/8, .example.com, x:y:z"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "socks5://proxy:1080", "no_proxy": "*"}, None),
    ],
)
def test_a_server_elsewhere_has_the_proxy_that_the_variables_say(
    variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not is_own(ELSEWHERE)
    assert proxy_for(ELSEWHERE) == proxy


@pytest.mark.parametrize(
    ("url", "excluded"), [("http://10.1.2.3:5000", "10.0.0.0/8"), ("http://[fd00::7]:5000", "a,[fd00::]/8")]
)
def test_no_proxy_may_name_a_network(url: str, excluded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert proxy_for(url) == "http://proxy:3128"
    monkeypatch.setenv("NO_PROXY", excluded)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    "proxy", [f"socks5://u:{SECRET}@proxy:1080", "http://[::1", "http://proxy:port", "::::", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ValueError, match=r"the proxy .* for https://mlflow\.example\.org.* NO_PROXY") as caught:
        proxy_for(ELSEWHERE)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("var/lake", "var/lake"),
        ("/a b/é", "/a b/é"),
        ("/a#b/c?d%20e", "/a#b/c?d%20e"),
        ("file:///a%20b/%C3%A9", "/a b/é"),
        ("file:/a", "/a"),
        ("file://localhost/a", "/a"),
    ],
)
def test_a_folder_is_read_as_given(uri: str, folder: str) -> None:
    assert local_folder(uri) == Path(folder)


@pytest.mark.parametrize("uri", [f"s3://key:{SECRET}@bucket/lake", "hdfs:///lake", "hdfs:/lake", "file://host/lake"])
def test_a_lake_elsewhere_is_refused_without_its_credentials(uri: str) -> None:
    with pytest.raises(ValueError, match="is not a local folder") as caught:
        local_folder(uri)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["'?' + ':' * 8_000", "'a' * 8_000", "'/' * 8_000", "'//' + 'a:' * 4_000"])
def test_a_long_line_of_an_access_log_ends(text: str) -> None:
    """Callers choose the text: cubic time would block the scorer. Only another process can be ended meanwhile."""
    code = f"from contracts.addresses import redact; text = {text}; assert redact(text) == text"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=30)
    assert done.returncode == 0

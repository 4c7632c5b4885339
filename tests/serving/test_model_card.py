"""GET /v1/model/card: as HTML or Markdown, sandboxed, with the scope `read`."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.card import _weight
from tests.serving.bundles import HTML, MARKDOWN
from tests.serving.running import ScorerProcess

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept", [None, "*/*", BROWSER, "text/markdown;q=0.5, text/html", "text/markdown;q=x", "\u00e9"]
)
def test_the_page_is_sandboxed(scorer: ScorerProcess, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept.encode("latin-1")}
    answer = scorer.client.get("/v1/model/card", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content.decode() == HTML
    assert answer.headers["X-Model-Version"] == scorer.client.get("/v1/model").json()["version"]
    policy = [rule.split() for rule in answer.headers["Content-Security-Policy"].split(";")]
    assert {name: values for name, *values in policy if name.endswith("-src")} == {
        "default-src": ["'none'"],
        "style-src": ["'unsafe-inline'"],
        "img-src": ["data:"],
    }
    assert ["sandbox"] in policy


@pytest.mark.parametrize(
    "accept", ["text/markdown", "Text/Markdown; charset=utf-8, */*", "text/html;q=0.5, text/markdown"]
)
def test_markdown_is_returned_on_request(scorer: ScorerProcess, accept: str) -> None:
    answer = scorer.client.get("/v1/model/card", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["X-Model-Version"] == "1"
    assert answer.content.decode() == MARKDOWN


@pytest.mark.parametrize("accept", ["text/markdown;q*=utf-8''%ff;q*0=x", "text/markdown; q*99999999999=1; q=0"])
def test_odd_parameters_are_no_error(scorer: ScorerProcess, accept: str) -> None:
    assert scorer.client.get("/v1/model/card", headers={"Accept": accept}).status_code == 200


PARTS = st.sampled_from(["text/markdown", "text/html", ";", ",", "q", "*", "0", "=", "utf-8''%ff", '"', " ", "1e999"])


@given(st.one_of(st.text(st.characters(max_codepoint=255)), st.lists(PARTS).map("".join)))
def test_any_accept_header_has_weights(accept: str) -> None:
    assert isinstance(_weight(accept, "text/markdown"), float)


LONG = {"many types": "a/b," * 7_000, "many parameters": "text/markdown" + ";" * 30_000}


@pytest.mark.parametrize("case", LONG)
def test_a_long_accept_header_costs_nothing(scorer: ScorerProcess, case: str) -> None:
    def seconds(accept: str) -> float:
        began = time.perf_counter()
        assert scorer.client.get("/v1/model/card", headers={"Accept": accept}).content.decode() == HTML
        return time.perf_counter() - began

    # The least of several: the machine may be busy. Reading it would take some tenths of a second.
    assert min(seconds(LONG[case]) for _ in range(5)) < min(seconds("*/*") for _ in range(5)) + 0.03


def test_it_requires_a_key_and_is_documented_and_on_the_start_page(scorer: ScorerProcess) -> None:
    assert scorer.client.get("/v1/model/card", headers={"X-API-Key": ""}).status_code == 401
    described = scorer.client.get("/openapi.json").json()["paths"]["/v1/model/card"]["get"]
    assert set(described["responses"]) >= {"200", "401", "403", "429", "503"}
    assert set(described["responses"]["200"]["content"]) == {"text/html", "text/markdown"}
    assert "X-Model-Version" in described["responses"]["200"]["headers"]
    assert "/v1/model/card" in scorer.client.get("/").text

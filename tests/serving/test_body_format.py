"""Bodies that are compressed, or not UTF-8, are rejected by name; the others are read as before."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.middleware.body_format import UnreadableBodyError, declared_length, reject_unreadable
from tests.serving.running import KEYS, ScorerProcess, body

T = 1_536_700_000
Fresh = Callable[[], int]
JSON = "application/json"
PATHS = ("/v1/score", "/v1/score/batch", "/v1/fraud-reports")


def payment(fresh: Fresh) -> bytes:
    return json.dumps(body(fresh(), fresh(), fresh(), 100, T)).encode()


def post(scorer: ScorerProcess, path: str, content: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return scorer.client.post(path, content=content, headers={"Content-Type": JSON} | named)


ENCODINGS = {
    "gzip": gzip.compress, "deflate": zlib.compress, "br": bytes, "zstd": bytes, "compress": bytes, "x-gzip": bytes,
    "gzip, identity": gzip.compress, "GZIP": gzip.compress, "aes128gcm": bytes,
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_with_a_content_encoding_is_refused_by_its_name(
    scorer: ScorerProcess, fresh: Fresh, path: str, encoding: str
) -> None:
    answer = post(scorer, path, ENCODINGS[encoding](payment(fresh)), Content_Encoding=encoding)
    assert answer.status_code == 415
    assert f"Content-Encoding: {encoding.partition(',')[0]} is not supported" in answer.json()["detail"]
    assert "uncompressed" in answer.json()["detail"]
    assert answer.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "identity, identity"])
def test_identity_is_no_encoding(scorer: ScorerProcess, fresh: Fresh, encoding: str) -> None:
    assert post(scorer, "/v1/score", payment(fresh), Content_Encoding=encoding).status_code == 200


def test_a_request_without_a_body_may_name_an_encoding(scorer: ScorerProcess) -> None:
    assert scorer.client.get("/v1/model", headers={"Content-Encoding": "gzip"}).status_code == 200


@pytest.mark.parametrize("charset", ["utf-16", "UTF-16LE", "iso-8859-1", "windows-1252", '"utf-32"', "latin1"])
def test_another_charset_is_refused_by_its_name(scorer: ScorerProcess, fresh: Fresh, charset: str) -> None:
    answer = post(scorer, "/v1/score", payment(fresh), Content_Type=f"{JSON}; charset={charset}")
    assert answer.status_code == 415
    assert f"charset={charset.strip(chr(34)).lower()} is not supported" in answer.json()["detail"]


@pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8", f'{JSON};charset="UTF-8"', f"{JSON}; v=1"])
def test_utf_8_may_be_named(scorer: ScorerProcess, fresh: Fresh, kind: str) -> None:
    assert post(scorer, "/v1/score", payment(fresh), Content_Type=kind).status_code == 200


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("path", PATHS)
def test_utf_16_and_utf_32_are_refused_by_name(scorer: ScorerProcess, fresh: Fresh, path: str, encoding: str) -> None:
    answer = post(scorer, path, payment(fresh).decode().encode(encoding))
    assert answer.status_code == 415
    assert f"the body is {encoding[:6].upper()}: send JSON in UTF-8" in answer.json()["detail"]


def test_a_utf_8_byte_order_mark_is_ignored(scorer: ScorerProcess, fresh: Fresh) -> None:
    assert post(scorer, "/v1/score", b"\xef\xbb\xbf" + payment(fresh)).status_code == 200


def test_a_compressed_body_without_its_header_is_named(scorer: ScorerProcess, fresh: Fresh) -> None:
    answer = post(scorer, "/v1/score", gzip.compress(payment(fresh)))
    assert (answer.status_code, "compressed with gzip" in answer.json()["detail"]) == (415, True)


def test_the_documentation_names_the_status(scorer: ScorerProcess) -> None:
    paths = scorer.client.get("/openapi.json").json()["paths"]
    assert all("415" in paths[path]["post"]["responses"] for path in PATHS)


@given(st.text())
def test_no_utf_8_text_without_nul_is_refused(text: str) -> None:
    reject_unreadable(text.replace("\0", "").encode("utf-8", "surrogatepass"))


@given(st.dictionaries(st.text(), st.integers()), st.sampled_from(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]))
def test_json_in_another_encoding_is_always_refused(content: dict[str, int], encoding: str) -> None:
    with pytest.raises(UnreadableBodyError):
        reject_unreadable(json.dumps(content).encode(encoding))


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity"])
def test_another_transfer_coding_is_not_implemented(coding: str) -> None:
    with pytest.raises(UnreadableBodyError, match=f"Transfer-Encoding: {coding} is not supported") as caught:
        declared_length([(b"transfer-encoding", coding.encode())])
    assert caught.value.status == 501


def test_the_declared_length() -> None:
    heads: dict[int, list[tuple[bytes, bytes]]] = {
        0: [(b"transfer-encoding", b"Chunked")],
        7: [(b"content-type", JSON.encode()), (b"content-length", b"7")],
        # Python refuses to convert numbers of more than 4,300 digits.
        8: [(b"content-length", b"0" * 5_000 + b"8")],
    }
    assert {length: declared_length(head) for length, head in heads.items()} == {length: length for length in heads}


@given(st.from_regex(rb"[0-9]{1,60}", fullmatch=True), st.integers(0, 5_000))
def test_a_declared_length_of_any_number_of_digits_is_read(digits: bytes, zeros: int) -> None:
    declared = declared_length([(b"content-length", b"0" * zeros + digits)])
    assert declared == int(digits) or min(declared, int(digits)) >= 10**19


def test_a_length_with_very_many_zeros_is_no_error(scorer: ScorerProcess, fresh: Fresh) -> None:
    content = payment(fresh)
    head = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEYS['all']}\r\nContent-Type: {JSON}\r\n"
    with closing(socket.create_connection(("127.0.0.1", scorer.port), timeout=30)) as connection:
        connection.sendall(f"{head}Content-Length: {len(content):05000}\r\n\r\n".encode() + content)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200")

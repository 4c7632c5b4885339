"""A stub of the MLflow 3.17 endpoints that the scorer uses; tests/whole uses real MLflow."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.bundle import MANIFEST, MODEL_NAME
from contracts.signature import SIGNATURE_TAG, WITHDRAWAL_TAG, sign, sign_withdrawal
from tests.serving.signing import KEY

ALIAS = "/api/2.0/mlflow/registered-models/alias"
LOGGED = "/api/2.0/mlflow/logged-models/"
NO_ALIAS = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias champion not found."}'
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class RegistryStub:
    """A registry of folders; `champion` is the number of the version with that alias.

    `promote` signs what it makes champion with `KEY`, as the promoting job does.
    """

    def __init__(self) -> None:
        self.versions: dict[str, Path] = {}
        self.signatures: dict[str, str] = {}
        self.withdrawals: dict[str, str] = {}
        self.champion: str | None = None
        self.downloads: list[str] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = stub.answer(urlsplit(self.path).path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def promote(self, root: Path) -> str:
        """Register the bundle under `root` and make it champion."""
        version = str(len(self.versions) + 1)
        self.versions[version] = root
        if (root / MANIFEST).exists():
            self.signatures[version] = sign(KEY, MODEL_NAME, version, (root / MANIFEST).read_bytes())
        self.champion = version
        return version

    def withdraw(self, version: str) -> None:
        """Withdraw a version as the promoting job does."""
        self.withdrawals[version] = sign_withdrawal(KEY, MODEL_NAME, version, self.signatures[version])

    def stop(self) -> None:
        """Stop it but keep its port bound: another server there would answer in its place."""
        port = self._server.server_port
        self._server.shutdown()
        self._server.server_close()
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", port))

    def answer(self, path: str) -> tuple[int, bytes]:
        """The status and body of a response."""
        if path == ALIAS:
            if self.champion is None:
                return 400, NO_ALIAS
            version = {"version": self.champion, "source": f"models:/m-{self.champion}"}
            tags = [{"key": "gate", "value": "promoted"}]
            if self.champion in self.signatures:
                tags.append({"key": SIGNATURE_TAG, "value": self.signatures[self.champion]})
            if self.champion in self.withdrawals:
                tags.append({"key": WITHDRAWAL_TAG, "value": self.withdrawals[self.champion]})
            return _json("model_version", version | {"tags": tags})
        if path.startswith(LOGGED):
            number = path.removeprefix(f"{LOGGED}m-")
            return _json("model", {"info": {"artifact_uri": f"mlflow-artifacts:/0/models/m-{number}/artifacts"}})
        self.downloads.append(path)
        number, _, name = path.removeprefix(f"{ARTIFACTS}0/models/m-").partition("/artifacts/")
        file = self.versions[number] / name
        return (200, file.read_bytes()) if file.is_file() else (404, b'{"message": "No such artifact"}')


def _json(key: str, value: object) -> tuple[int, bytes]:
    return 200, json.dumps({key: value}).encode()

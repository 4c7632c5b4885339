"""MLflow's basic authentication, and users that may only read.

MLflow's permissions let every user create experiments and registered models, so these users' other requests are
rejected here. `mlflow_auth.ini` names this function; only MLflow's server imports it.
"""

from __future__ import annotations

from typing import Any, Final

READERS: Final = ("bootstrap", "health", "scorer")
READING: Final = ("GET", "HEAD", "OPTIONS")


def authenticate() -> Any:
    """The login of the current request, or a response that rejects it: 401, or 403 if it may only read."""
    from flask import make_response, request  # type: ignore[import-not-found]
    from mlflow.server.auth import authenticate_request_basic_auth

    login = authenticate_request_basic_auth()
    if getattr(login, "username", None) in READERS and request.method not in READING:
        return make_response("this login may only read", 403)
    return login

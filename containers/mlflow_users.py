"""Create MLflow's users, with their current passwords and permissions, and the registered model.

`python -m containers.mlflow_users`

It writes to MLflow's database, whose tables it creates if they are missing; repeatable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from containers.mlflow_login import READERS

ADMIN: Final = "admin"
TRAINING: Final = "training"
USERS: Final = (ADMIN, TRAINING, *READERS)
KINDS: Final = ("experiment", "registered_model")


def write_users(store: Any, passwords: Mapping[str, str]) -> None:
    """Create the users that are missing, and set each password and permission."""
    for user, password in passwords.items():
        if not store.has_user(user):
            store.create_user(user, password, is_admin=user == ADMIN)
        elif not store.authenticate_user(user, password):
            store.update_user(user, password=password)
        if user != ADMIN:
            for kind in KINDS:
                store.grant_user_permission(user, kind, "*", "MANAGE" if user == TRAINING else "READ")


def create_model(registry: Any, name: str) -> None:
    """Create an empty registered model: asked about one that does not exist, MLflow answers 403, not 404."""
    if not registry.search_registered_models(f"name='{name}'"):
        registry.create_registered_model(name)


def main() -> None:
    """The command."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry

    parser = argparse.ArgumentParser(prog="python -m containers.mlflow_users", description=__doc__)
    parser.add_argument("--database", required=True, help="MLflow's database, as SQLAlchemy's URL")
    parser.add_argument("--passwords", required=True, type=Path, help="a file with a JSON object: password by user")
    parser.add_argument("--model", default="fraud", help="the registered model")
    given = parser.parse_args()
    passwords = json.loads(given.passwords.read_text())
    store = SqlAlchemyStore()
    store.init_db(given.database)
    write_users(store, passwords)
    create_model(Registry(given.database), given.model)
    print(json.dumps({"users": list(passwords)}))


if __name__ == "__main__":
    main()

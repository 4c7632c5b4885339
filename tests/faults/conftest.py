"""The fixtures with which the scorer's own tests start it."""

from tests.serving.conftest import make_database, registry, secrets, settings, start

__all__ = ["make_database", "registry", "secrets", "settings", "start"]

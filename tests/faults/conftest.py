"""The fixtures with which the scorer's own tests start it."""

from tests.serving.conftest import (
    end_with_module,
    end_with_test,
    make_database,
    registry,
    secrets,
    settings,
    start,
    started,
)

__all__ = ["end_with_module", "end_with_test", "make_database", "registry", "secrets", "settings", "start", "started"]

"""The version of the decision log's tables that the code needs.

`python -m bank.migrate` upgrades the tables to the newest version (`bank/migrations/decisions/`); the scorer, which
writes to them, rejects older ones.
"""

from __future__ import annotations

from typing import Final

TABLES_VERSION: Final = "0003"
"""Versions sort as text. A newer version contains everything that an older one does."""

"""The decision log: which version of its tables the code needs.

`python -m bank.migrate` brings the tables to their newest version (`bank/migrations/decisions/`); the scorer, which
fills them, refuses older ones.
"""

from __future__ import annotations

from typing import Final

TABLES_VERSION: Final = "0001"
"""Versions are in order as text. A newer one has everything that an older one has."""

"""Set threads as `__main__` does, before any test imports scikit-learn."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

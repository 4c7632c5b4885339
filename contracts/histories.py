"""The arrays of histories and features.

A history is a set of arrays of length n, sorted by (entity, occurred, transaction_id); `rows` are the indices of
the rows whose features to compute. Instants are whole seconds since 1970.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

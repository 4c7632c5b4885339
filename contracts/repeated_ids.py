"""Which of several rows with one transaction id is the payment: one order for the replay, the scorer and Spark.

Among the rows of an id that meet the contract, the payment is the first in `ORDER`:

1. by `arrived_at`, in whole seconds;
2. by the number of its source. The bank gives it when it first sees the source (`bank.sources`), so it does not depend
   on a file's name or content. Sources without a number come last, by name;
3. by its row in that source.

The replay sends payments in this order, and the scorer keeps the first: an equal repeat gets the same response, any
other is a conflict. Spark keeps the first and quarantines the others. The scorer knows the ids that it has scored, not
those that only the lake has. It therefore also scores a payment whose id the lake has from another row; the comparison
counts such a payment, and those whose features differ because of it, as `repeated_ids`.
"""

from __future__ import annotations

from typing import Final

ORDER: Final = ("arrived_at", "source_number", "source", "source_row")
"""The columns that order the rows of one id; a missing `source_number` comes last."""

"""The register of ids that are hashes: two ids with the same hash are found, and the load is rejected.

Customers, terminals and sources are registered in the database, because two of them with one hash would be taken for
one. Payments are compared within a load only, in 16 bytes each: registering them takes longer than loading them, and a
hash that two loads share is a repeated id, which validation quarantines.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from bank.errors import DataError
from bank.landing import copy_rows
from bank.mapped.ids import KINDS

PAYMENT: Final = KINDS.index("transaction_id")
CLASH: Final = """
select 1 from seen_ids group by kind, id having min(fingerprint) <> max(fingerprint)
union all
select 1 from seen_ids join bank.hashed_ids using (kind, id) where seen_ids.fingerprint <> hashed_ids.fingerprint
limit 1"""


class HashRegister:
    """Collects the hashes of one load, in its transaction."""

    def __init__(self, bank: psycopg.Connection) -> None:
        self._bank = bank
        self._payments: list[pa.Table] = []
        self._open = False

    def note(self, hashed: pa.Table) -> None:
        """Note the hashes of some rows, in the schema `HASHED`."""
        is_payment = pc.equal(hashed["kind"], PAYMENT)
        self._payments.append(hashed.filter(is_payment).select(["id", "fingerprint"]))
        others = hashed.filter(pc.invert(is_payment))
        if not len(others):
            return
        if not self._open:
            self._bank.execute("create temporary table seen_ids (kind smallint, id bigint, fingerprint bigint)")
            self._open = True
        copy_rows(self._bank, "seen_ids", others)

    def close(self) -> None:
        """Add the noted hashes to the register. Raises `DataError` if two ids have the same hash."""
        clash = self._payments_clash()
        if self._open:
            # In memory: a million hashes are sorted and joined in seconds.
            self._bank.execute("set local work_mem = '128MB'")
            self._bank.execute("analyze seen_ids")
            clash = clash or self._bank.execute(CLASH).fetchone() is not None
            self._bank.execute(
                "insert into bank.hashed_ids select distinct kind, id, fingerprint from seen_ids on conflict do nothing"
            )
            self._bank.execute("drop table seen_ids")
        if clash:
            raise DataError(
                "two different ids have the same hash, so nothing is loaded: delete the secret bank_id_key and load "
                "into a new bank (`make demo` makes one), with another key"
            )

    def _payments_clash(self) -> bool:
        if not self._payments:
            return False
        noted = pa.concat_tables(self._payments)
        ids, fingerprints = noted["id"].to_numpy(), noted["fingerprint"].to_numpy()
        order = np.argsort(ids)
        same = ids[order][1:] == ids[order][:-1]
        return bool((same & (fingerprints[order][1:] != fingerprints[order][:-1])).any())

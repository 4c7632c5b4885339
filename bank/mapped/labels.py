"""Labels and kinds: texts with a meaning that the map states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bank.mapped.problems import Problem, masked_text
from bank.mapped.text import as_text, mask_of

USUAL_LABELS: Final = {"0": False, "1": True, "false": False, "true": True}
USUAL_KINDS: Final = {"payment": "payment", "refund": "refund", "reversal": "reversal"}
_REFUSED: Final = object()


def fraud_labels(column: pa.Array, meanings: Mapping[str, bool | str] | None) -> tuple[pa.Array, list[Problem]]:
    """Whether each row is a fraud, null where that is unknown; no value is unknown too unless the map has `""`."""
    values = {text: None if meaning == "unknown" else meaning for text, meaning in (meanings or USUAL_LABELS).items()}
    found, problem = _meanings(column, values, meanings is None, "fraud", '{ "%s" = true }')
    return pa.array(found, pa.bool_()), [problem]


def kinds_of(column: pa.Array, meanings: Mapping[str, str] | None) -> tuple[pa.Array, list[Problem]]:
    """The kind of each row: payment, refund or reversal; null where the problem says so."""
    values = dict(meanings or USUAL_KINDS)
    found, problem = _meanings(column, values, meanings is None, "kind", '{ "%s" = "payment" }')
    nothing = mask_of(pc.is_null(as_text(column))) & (values.get("") is None)
    missing = Problem("kind: missing", "kind", nothing, 'write "" = "payment" in kind below [values]')
    return pa.array(found, pa.string()), [missing, problem]


def _meanings(
    column: pa.Array, values: Mapping[str, Any], any_case: bool, ours: str, example: str
) -> tuple[list[Any], Problem]:
    encoded = as_text(column).dictionary_encode()
    distinct: list[str] = encoded.dictionary.to_pylist()
    known = [values.get(text.lower() if any_case else text, _REFUSED) for text in distinct] + [values.get("")]
    places = pc.fill_null(encoded.indices, len(distinct)).to_numpy()
    odd = np.array([meaning is _REFUSED for meaning in known])[places]
    first = masked_text(distinct[int(places[np.argmax(odd)])]) if odd.any() else ""
    meanings = np.array([None if meaning is _REFUSED else meaning for meaning in known], dtype=object)[places]
    remedy = f"say what it means below [values]: {ours} = " + example % first
    return meanings.tolist(), Problem(f"{ours}: a value without meaning", ours, odd, remedy)

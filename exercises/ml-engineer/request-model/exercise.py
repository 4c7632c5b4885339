"""A request model that rejects bad input and names the invalid fields."""

from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

MAX_ID = 2**63 - 1
"""The largest int64, the limit of the bank's tables and the lake."""


class Payment(BaseModel):
    """One card payment as a caller sends it: JSON, parsed into a dict.

    `transaction_id`, `customer_id`, `terminal_id`: whole numbers, 0 to `MAX_ID`. `amount`: a number, or a number as
    text, 0 to 1,000,000, at most two decimals. `occurred_at`: text, ISO 8601 with a zone, from 1970 (in UTC) on.
    No other fields.
    """

    # --- your work: begin
    raise NotImplementedError("your work goes here")
    # --- your work: end


def refused(body: dict[str, Any]) -> list[str]:
    """The names of the invalid fields of a body, sorted; an empty list if it is accepted."""
    try:
        Payment.model_validate(body)
    except ValidationError as error:
        return sorted({str(item["loc"][0]) if item["loc"] else "(no field)" for item in error.errors()})
    return []

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
    model_config = ConfigDict(extra="forbid")

    transaction_id: int = Field(strict=True, ge=0, le=MAX_ID)
    customer_id: int = Field(strict=True, ge=0, le=MAX_ID)
    terminal_id: int = Field(strict=True, ge=0, le=MAX_ID)
    amount: Decimal = Field(ge=0, le=1_000_000, decimal_places=2, allow_inf_nan=False)
    occurred_at: AwareDatetime

    @field_validator("amount", mode="before")
    @classmethod
    def _refuse_bool(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a number, not true or false")
        return value

    @field_validator("occurred_at", mode="before")
    @classmethod
    def _refuse_number(cls, value: object) -> object:
        if not isinstance(value, str) or value.strip("+-.0123456789") == "":
            raise ValueError("must be an ISO 8601 date and time with a zone")
        return value

    @field_validator("occurred_at")
    @classmethod
    def _refuse_before_1970(cls, value: AwareDatetime) -> AwareDatetime:
        if value.timestamp() < 0:
            raise ValueError("must not be before 1970-01-01T00:00:00Z")
        return value

    # --- your work: end


def refused(body: dict[str, Any]) -> list[str]:
    """The names of the invalid fields of a body, sorted; an empty list if it is accepted."""
    try:
        Payment.model_validate(body)
    except ValidationError as error:
        return sorted({str(item["loc"][0]) if item["loc"] else "(no field)" for item in error.errors()})
    return []

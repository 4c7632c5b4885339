# says: A number within a text is taken for seconds
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
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date and time with a zone")
    return value

@field_validator("occurred_at")
@classmethod
def _refuse_before_1970(cls, value: AwareDatetime) -> AwareDatetime:
    if value.timestamp() < 0:
        raise ValueError("must not be before 1970-01-01T00:00:00Z")
    return value

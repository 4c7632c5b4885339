# says: It could mean many different moments
model_config = ConfigDict(extra="forbid")

transaction_id: int = Field(strict=True, ge=0, le=MAX_ID)
customer_id: int = Field(strict=True, ge=0, le=MAX_ID)
terminal_id: int = Field(strict=True, ge=0, le=MAX_ID)
amount: Decimal = Field(ge=0, le=1_000_000, decimal_places=2, allow_inf_nan=False)
occurred_at: __import__("datetime").datetime

@field_validator("amount", "occurred_at", mode="before")
@classmethod
def _refuse_bool(cls, value):
    if isinstance(value, bool):
        raise ValueError("must not be true or false")
    return value

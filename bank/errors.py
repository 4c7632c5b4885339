"""What can go wrong at the bank, in words for a person."""


class BankError(Exception):
    """Something that a person must mend; says what, where and how, in one line."""


class DataError(BankError):
    """Data that cannot be read as payments; names the file and the column."""


class KnownIdError(BankError):
    """The scorer knows a payment of this id with another content."""


def one_line(error: Exception) -> str:
    """What another library said, short enough to stand in a line."""
    return " ".join(str(error).split())[:300]

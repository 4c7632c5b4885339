"""The bank's exceptions."""

from contracts.addresses import redact


class BankError(Exception):
    """A user-fixable error; its message is one line that names what, where and what to do."""


class DataError(BankError):
    """Data that is not in the published format; names the file and the column."""


class IdConflictError(BankError):
    """The scorer already has a payment with this id and a different payload."""


def one_line(error: Exception) -> str:
    """An exception's message on one line, without credentials, cut to 300 characters."""
    return redact(" ".join(str(error).split()))[:300]

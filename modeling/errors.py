"""The exception of the modelling commands."""


class ModelingError(Exception):
    """A user-fixable error; its message is one line that names what, where and what to do."""

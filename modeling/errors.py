"""What can go wrong in modelling, in words for a person."""


class ModelingError(Exception):
    """Something that a person must mend; says what, where and how, in one line."""

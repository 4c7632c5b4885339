"""What can go wrong in a benchmark, in words for a person."""


class BenchmarkError(Exception):
    """Something that a person must mend; says what, where and how, in one line."""

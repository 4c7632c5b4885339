"""The exception of the benchmark."""


class BenchmarkError(Exception):
    """A user-fixable error; its message is one line that names what, where and what to do."""

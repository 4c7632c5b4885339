"""A wrong answer is the middle of a file: pytest must not take one for a test, whatever its name."""

collect_ignore = ["wrong"]

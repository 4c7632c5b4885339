"""For all tests."""

from hypothesis import settings

# Speed belongs in a benchmark: on a busy machine any example can take a second.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

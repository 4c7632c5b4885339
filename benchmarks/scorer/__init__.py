"""Benchmark the scorer against comparable servers and against a no-op endpoint: `make bench`."""

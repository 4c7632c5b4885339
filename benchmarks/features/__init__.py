"""Compare the feature job with other engines, on the same payments and cores: `make bench-features`."""

"""The ML engineer's part: the scorer over HTTP, its online state and its decision log."""

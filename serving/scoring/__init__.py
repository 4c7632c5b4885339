"""Score payments: with their history, or degraded without it."""

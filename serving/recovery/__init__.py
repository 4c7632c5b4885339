"""Keep scoring during an outage, then backfill."""

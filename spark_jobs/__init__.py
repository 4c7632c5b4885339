"""The data engineer's Spark jobs: bank to lake, lake to features, recent history to the online state."""

"""The data engineer's jobs: bank to lake, lake to features, features' histories to the online state."""

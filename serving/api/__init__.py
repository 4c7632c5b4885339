"""The scorer's endpoints, one per file."""

"""The scorer's endpoints, one verb a file."""

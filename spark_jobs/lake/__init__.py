"""The lake: layout, schemas, staged writes and histories."""

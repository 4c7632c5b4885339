"""The lake: its layout, schemas, staged writes, and the histories that jobs look back on."""

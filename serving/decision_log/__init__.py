"""The decision log in PostgreSQL, and the relay that fills it."""

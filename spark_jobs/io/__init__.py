"""The stores that jobs read and write: the bank in PostgreSQL, the online store in Valkey."""

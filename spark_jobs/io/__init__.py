"""Access to the jobs' stores: the bank in PostgreSQL and the online store in Valkey."""

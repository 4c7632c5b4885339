"""The online store in Valkey: histories, claims and answers."""

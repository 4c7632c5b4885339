"""ASGI middleware around every endpoint."""

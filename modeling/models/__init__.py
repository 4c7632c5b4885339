"""The models: how they are built, fitted, searched and exported."""

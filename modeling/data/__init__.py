"""Read the lake's features and labels, and split them in time."""

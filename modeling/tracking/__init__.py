"""MLflow: the client, and what a run logs."""

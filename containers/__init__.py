"""What runs only in containers: credentials, the bootstrap, health checks."""

"""Commands that run only in containers: credentials, bootstrap, health checks."""

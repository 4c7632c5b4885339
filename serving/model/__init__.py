"""The champion: found in the registry, verified, loaded, replaced."""

"""How fast the scorer is, beside its peers and beside the least that its framework can do: `make bench`."""

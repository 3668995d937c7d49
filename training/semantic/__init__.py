"""Training of the semantic system's networks."""

"""Training of the referring system's networks."""

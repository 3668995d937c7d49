"""The networks of the semantic system: a class for every pixel."""

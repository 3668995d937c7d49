"""The Python steps of the referring system."""

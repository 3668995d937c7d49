"""The semantic system: a class for every pixel of an image."""

"""Annotations read, and files written, whole or not at all."""

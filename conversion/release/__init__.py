"""Releases: which versions a server answers with, changed all at once and taken back at once."""

"""Measuring the networks of the referring system."""

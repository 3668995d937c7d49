"""Conversion of the semantic system: its networks as they are exported, compared and measured."""

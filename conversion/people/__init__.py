"""Conversion of the people system: its networks as they are exported, compared and measured."""

"""How good the semantic system's networks are."""

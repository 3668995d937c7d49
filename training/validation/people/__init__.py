"""How good the people system's networks are."""

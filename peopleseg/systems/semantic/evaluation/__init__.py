"""How good class maps are, against label maps."""

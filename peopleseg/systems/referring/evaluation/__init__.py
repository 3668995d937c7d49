"""How well the one person that a prompt means is found."""

"""How the networks of the referring system are exported."""

"""The networks of the referring system: the one person that a prompt means."""

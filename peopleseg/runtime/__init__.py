"""How networks run on processors: threads, sessions and who shares them."""

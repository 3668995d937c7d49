"""How networks run on CPUs: threads, sessions and who shares them."""

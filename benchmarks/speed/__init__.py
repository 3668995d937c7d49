"""How fast the server is: measured against the same graphs called directly, and against peers."""

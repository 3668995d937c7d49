"""Published detectors to learn from, each behind a small adapter."""

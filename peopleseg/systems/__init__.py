"""What is served, a folder a system."""

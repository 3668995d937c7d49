"""What can be imported for the semantic system."""

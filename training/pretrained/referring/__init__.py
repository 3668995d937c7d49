"""What can be imported for the referring system."""

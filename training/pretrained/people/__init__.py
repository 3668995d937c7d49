"""What can be imported for the people system."""

"""What the networks are taught: one loss a file, each with its source."""

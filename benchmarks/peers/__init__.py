"""Others to compare ours with: how accurate they are, and how fast."""

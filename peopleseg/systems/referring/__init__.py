"""The referring system: the one person of an image that a prompt means, with pose, mask and box."""

"""What the semantic system brings to commands."""

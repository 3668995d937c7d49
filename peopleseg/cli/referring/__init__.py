"""What the referring system brings to commands."""

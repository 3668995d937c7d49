"""What the people system brings to commands."""

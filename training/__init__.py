"""Train the networks, and measure their checkpoints."""

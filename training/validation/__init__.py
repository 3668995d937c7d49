"""How good a network is: metrics, tables over checkpoints, images."""

"""How good a network is: figures, tables over checkpoints, images."""

"""One LightningModule a family: its network, its loss, its validation metrics."""

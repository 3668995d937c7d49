"""What happens around the training loop: averaged weights, stopping, images, timings."""

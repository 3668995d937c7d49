"""What happens around the training loop: averaged weights, stopping, pictures, timings."""

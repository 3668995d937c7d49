"""The embedded Triton server and what it needs to serve the models without a container."""

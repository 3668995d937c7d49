"""Ask a server over gRPC."""

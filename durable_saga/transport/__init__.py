"""The way to a history service: over gRPC, or an object in this process."""

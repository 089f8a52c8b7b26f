"""What comes in from the network: a server as a process, and gRPC."""

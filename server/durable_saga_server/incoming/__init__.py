"""What comes in from the network: gRPC, streams of calls, gates."""

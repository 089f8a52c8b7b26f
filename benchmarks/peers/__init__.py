"""Every peer on the same workloads, side by side: `make bench-peers`."""

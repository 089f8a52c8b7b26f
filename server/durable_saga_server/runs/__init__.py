"""What is decided about a run: messages, looks, chains, large values, the end and what follows it."""

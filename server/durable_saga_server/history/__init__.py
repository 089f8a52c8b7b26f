"""What may be appended to what, and what a history says. Pure."""

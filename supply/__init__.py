"""What we depend on: the licences of it, and what is known against it."""

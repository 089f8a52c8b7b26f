"""Who does it: the sessions of workers, what is handed to them and what they commit."""

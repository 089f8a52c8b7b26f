"""What runs in the virtual environment of a peer: its sagas, its worker, its client. `driver` is shared."""

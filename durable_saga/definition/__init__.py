"""What is declared, as plain values: steps, sagas, their parameters and their policies."""

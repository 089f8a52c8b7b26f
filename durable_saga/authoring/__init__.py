"""What people write: sagas, steps, compensations, what saga code may ask for, and the checks of it."""

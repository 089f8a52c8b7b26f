"""Sagas that are declared as a class with a table of steps."""

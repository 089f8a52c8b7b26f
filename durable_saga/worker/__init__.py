"""Who runs sagas and their steps."""

"""Who starts sagas, sends them messages, waits for them and looks at them."""

"""When: hints, the mailbox of an embedded engine, and the first look at a run."""

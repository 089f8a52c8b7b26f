"""The history server: checks the fence, writes, hands sagas to workers, wakes sleeping ones. It keeps no truth in memory."""

"""What a process tells of itself to those who watch it: metrics, and whether it is alive and ready (docs/metrics.md).

It imports nothing else of ours, so engine, worker, page and server may all use it.
"""

"""`python -m durable_saga` is the command line."""

from durable_saga.cli import main

main()

"""Calls without a transport: their gates, streams of them, and the one that goes on telling."""

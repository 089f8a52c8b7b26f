"""Queries of a saga's code over its committed history."""

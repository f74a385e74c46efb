"""Searching a space: problems, strategies, sessions, and what a run leaves behind."""

"""Runners: each file executes tasks in another place."""

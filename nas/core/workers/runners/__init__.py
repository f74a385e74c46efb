"""Runners: each file carries tasks out in another place."""

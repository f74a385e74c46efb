"""Runs as folders: written, read, watched, and compared with measurements."""

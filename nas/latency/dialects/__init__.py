"""Dialects: each file here reads the keys of one public format of latency tables."""

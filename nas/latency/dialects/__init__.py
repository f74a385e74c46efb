"""Dialects: each file here knows the keys of one public format of latency tables."""

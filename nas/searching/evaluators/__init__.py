"""Evaluators: each file gives some metrics of a batch of candidates."""

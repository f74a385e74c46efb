"""Evaluators: each file answers for some metrics of a batch of candidates."""

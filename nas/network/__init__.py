"""Architectures as data, and what is computed from their layers: cost, memory, weights."""

"""Architectures as data, and what follows from their layers: cost, memory, weights."""

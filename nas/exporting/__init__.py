"""Architectures as files for other programs."""

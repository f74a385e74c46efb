"""Detectors: known networks, a training on real images, and what they cost."""

"""Detectors: published networks, trainings on real images, and latencies."""

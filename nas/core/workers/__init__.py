"""Carrying tasks out: what a runner is, and joining a Ray cluster."""

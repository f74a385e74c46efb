"""Compound scaling."""

"""Strategies: each file proposes architectures behind ask and tell."""

"""Compound scaling: its formula, the grid search of its coefficients, and what may be built."""

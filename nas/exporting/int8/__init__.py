"""Graphs in int8: ranges of values from calibration, and writing them into graphs."""

"""Accuracy loss in int8: a model of a few numbers, fitted to published and measured losses."""

"""Datasets, one file each: `create(*, ...)` returns a `nas.training.data.Source`."""

"""Datasets, one file each: `create(*, ...)` returns a `nas.nn.data.Source`."""

"""Detector heads: one file each, with `create(backbone, *, classes, ...)`."""

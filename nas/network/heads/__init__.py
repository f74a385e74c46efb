"""Heads that make detectors of networks: a file each, with `create(backbone, *, classes, ...)`."""

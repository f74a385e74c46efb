"""Measure, validate and use latency tables."""

from nas.cli._group import group

command = group("nas.cli.latency", __doc__)

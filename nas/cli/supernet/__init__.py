"""Train one network that contains all of a space, and use its parts (train, eval, extract)."""

from nas.cli._group import group

command = group("nas.cli.supernet", __doc__)

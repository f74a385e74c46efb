"""Learn accuracy models from finished searches."""

from nas.cli._group import group

command = group("nas.cli.surrogate", __doc__)

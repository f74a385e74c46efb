"""Show how networks are trained."""

from nas.cli._group import group

command = group("nas.cli.recipe", __doc__)

"""The help text of `--data`."""

import shlex

DATA = (
    "As in imagefolder:/path, csv:labels.csv or digits (nas list data). A path with commas stands "
    "in double quotes, and those in it twice: 'imagefolder:\"/a,b\",val=0.1'."
)


def as_word(text: object) -> str:
    """Return a path or another text quoted for a shell, for commands that are shown."""
    return shlex.quote(str(text))

"""What the commands that read images say of `--data`, in one place."""

import shlex

DATA = (
    "As in imagefolder:/path, csv:labels.csv or digits (nas list data). A path with commas stands "
    "in double quotes, and those in it twice: 'imagefolder:\"/a,b\",val=0.1'."
)


def as_word(data: str) -> str:
    """Return `data` as a shell takes it, for commands that are proposed."""
    return shlex.quote(data)

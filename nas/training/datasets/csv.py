"""A CSV file with a column of image files and one of labels."""

from pathlib import Path

from nas.training.data import Source
from nas.training.datasets._labels import Columns, read_labels
from nas.training.datasets._pictures import check_options
from nas.training.datasets._table import Wanted, source_of


def create(  # noqa: PLR0913  # all of them are options of the user
    *,
    path: str,
    image: str = "",
    label: str = "",
    split: str = "",
    root: str = "",
    delimiter: str = "",
    val: float = 0.2,
    test: float = 0.0,
    max_bad: int = -1,
    check: str = "full",
    depth: int = 0,
    seed: int,
) -> Source:
    """Return the images that the CSV at `path` names, with the labels it gives them.

    Its first line names the columns. `image` and `label` say which hold the files and the classes,
    `split` which holds train, val or test; they are found where their names are usual ones. Files
    are looked for in the folder `root`, by default that of the CSV, and may lie anywhere. Fields
    are parted by `delimiter` ("tab" for one), by default whichever of , ; | and tab the first line
    has. Without validation images, a share `val` of every class is taken; `test` in the same way.
    Up to `max_bad` images may be missing, or not be decoded; `check` and `depth` are those of
    `imagefolder`.

    Raises:
        BadFile: naming the line, if the file says something else.
    """
    check_options(check, max_bad, depth)
    columns = Columns(image=image, label=label, split=split, delimiter=delimiter)
    file = Path(path).expanduser().absolute()  # workers may be in another folder
    folder = Path(root).expanduser().absolute() if root else file.parent
    table, notes = read_labels(file, columns, folder=folder, max_bad=max_bad)
    wanted = Wanted(val=val, test=test, max_bad=max_bad, check=check, depth=depth, seed=seed)
    return source_of(table, wanted, notes)

"""Rows of tables of Hugging Face: values of a column, and images as they are stored."""

from pathlib import Path
from typing import Any

import datasets

from nas.core.errors import BadFile, NasError, first_line


def column_of(table: Any, name: str) -> list[Any]:
    """Return the values of a column, as they are stored.

    Raises:
        BadFile: if they cannot be read.
    """
    try:
        values: list[Any] = table.with_format("arrow")[name][:].to_pylist()
    except Exception as error:  # corrupt files make the library raise almost anything
        raise BadFile(f"hf: column {name} cannot be read: {first_line(error)}") from None
    return values


def images_of(table: Any, image: str, name: str) -> Any:
    """Return the table of a column of images alone, which come as they are stored.

    Raises:
        NasError: if it is no such column of the split `name`, or cannot be read.
    """
    if not isinstance(table.features.get(image), datasets.Image):
        raise NasError(f"hf: column {image} of {name} holds no images")
    images = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    try:
        images.data.validate(full=True)  # reading images at wrong places would kill the process
    except Exception as error:  # as above
        raise BadFile(f"hf: column {image} cannot be read: {first_line(error)}") from None
    return images


def open_row(table: Any, image: str, row: int) -> Path | bytes:
    """Return the stored image of a row: its bytes, or the file that the dataset points to."""
    try:
        stored = table[row][image] or {}
    except Exception as error:  # as above
        raise OSError(f"the row cannot be read: {first_line(error)}") from None
    content: bytes | None = stored.get("bytes")
    if content is not None:
        return content
    if stored.get("path") is None:
        raise OSError("there is no image in this row")
    path = Path(stored["path"])
    if path.exists() and not path.is_file():
        raise OSError("the row names no file")
    return path

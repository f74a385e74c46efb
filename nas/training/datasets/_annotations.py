"""Images with boxes, as annotation files tell them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.training.objects import Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotations:
    """Images and their m objects; n images by the names of their files, with their splits.

    `sizes` are the width and height that the annotations tell, 0 where they do not, of shape
    (n, 2). `owners` are the images of the objects, `corners` left, top, right and bottom as they
    are given, of shape (m, 4): pixels, or fractions of the upright image if `fractions`. `areas`
    are those of the objects in pixels, NaN where the annotations give none.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    splits: NDArray[np.str_]
    sizes: Ints
    owners: Ints
    corners: NDArray[np.float64]
    labels: Ints
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    fractions: bool = False

    def take(self, rows: Ints) -> "Annotations":
        """Return these images, each once, with their objects."""
        new = np.full(len(self.names), -1, np.int64)
        new[rows] = np.arange(len(rows))
        kept = replace(
            self,
            names=tuple(self.names[row] for row in rows),
            splits=self.splits[rows],
            sizes=self.sizes[rows],
            owners=new[self.owners],
        )
        return kept.only(kept.owners >= 0)

    def only(self, objects: NDArray[np.bool_]) -> "Annotations":
        """Return all images, with some of the objects."""
        return replace(
            self,
            owners=self.owners[objects],
            corners=self.corners[objects],
            labels=self.labels[objects],
            crowd=self.crowd[objects],
            areas=self.areas[objects],
        )


@dataclass(slots=True)
class Builder:
    """Collects annotations as their files are read."""

    names: list[str]
    splits: list[str]
    sizes: list[tuple[int, int]]
    objects: list[tuple[Any, ...]]

    @classmethod
    def empty(cls) -> "Builder":
        """Return a builder without images."""
        return cls([], [], [], [])

    def image(self, name: str, split: str, size: tuple[int, int] = (0, 0)) -> int:
        """Add an image, and return its number."""
        self.names.append(name)
        self.splits.append(split)
        self.sizes.append(size)
        return len(self.names) - 1

    def object(
        self,
        image: int,
        label: int,
        corners: Sequence[float],
        *,
        crowd: bool = False,
        area: float = nan,
    ) -> None:
        """Add an object of an image."""
        self.objects.append((image, label, crowd, area, *corners))

    def done(self, classes: tuple[str, ...], *, fractions: bool = False) -> Annotations:
        """Return what was collected."""
        rows = np.array(self.objects, np.float64).reshape(-1, 8)
        return Annotations(
            classes=classes,
            names=tuple(self.names),
            splits=np.array(self.splits, "<U5"),
            sizes=np.array(self.sizes, np.int64).reshape(-1, 2),
            owners=rows[:, 0].astype(np.int64),
            corners=rows[:, 4:],
            labels=rows[:, 1].astype(np.int64),
            crowd=rows[:, 2] > 0,
            areas=rows[:, 3],
            fractions=fractions,
        )

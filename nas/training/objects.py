"""The objects of images: boxes with classes, in arrays for a whole split; needs no torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadValue

Ints = NDArray[np.int64]
Rows = NDArray[np.integer[Any]] | NDArray[np.bool_] | slice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objects:
    """The objects of n images, m in all, sorted by image.

    Those of image i are rows `starts[i]` to `starts[i + 1]` of `corners`, `labels` and `crowd`.
    `corners` are left, top, right and bottom as fractions of the width and height of the image,
    float32 of shape (m, 4); `labels` classes from 0, of shape (m,). `crowd` marks groups of
    objects, and others that are neither learned nor counted as missed. `sizes` are width and height
    of the images in pixels, before they are resized, of shape (n, 2). `areas` are those of the
    objects in such pixels, of shape (m,), as the annotations give them (COCO's are of outlines);
    where they give none, which is NaN, or None for all, an object is as large as its box.
    """

    starts: Ints
    corners: NDArray[np.float32]
    labels: Ints
    crowd: NDArray[np.bool_]
    sizes: Ints
    areas: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        images, objects = len(self.sizes), len(self.labels)
        shapes = (self.starts.shape, self.corners.shape, self.crowd.shape, self.sizes.shape)
        areas = self.areas is None or self.areas.shape == (objects,)
        if not areas or shapes != ((images + 1,), (objects, 4), (objects,), (images, 2)):
            raise BadValue(f"the arrays of {images} images with {objects} objects do not fit")
        if self.starts[0] != 0 or self.starts[-1] != objects or (np.diff(self.starts) < 0).any():
            raise BadValue(f"starts must rise from 0 to {objects}, the number of objects", "starts")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.sizes)

    def __getitem__(self, rows: Rows) -> "Objects":
        """Return the objects of these images, as an array of labels would."""
        chosen = np.arange(len(self))[rows]
        counts = self.counts[chosen]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        # The place of every object: its number in the image, and where the image begins.
        places = np.arange(starts[-1]) + np.repeat(self.starts[chosen] - starts[:-1], counts)
        return Objects(
            starts=starts,
            corners=self.corners[places],
            labels=self.labels[places],
            crowd=self.crowd[places],
            sizes=self.sizes[chosen],
            areas=None if self.areas is None else self.areas[places],
        )

    @property
    def counts(self) -> Ints:
        """The number of objects of every image, of shape (n,)."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ints:
        """The image of every object, of shape (m,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    def where(self, rows: NDArray[np.bool_]) -> "Objects":
        """Return the objects at these of the m rows, of all n images."""
        counts = np.bincount(self.owners[rows], minlength=len(self))
        return Objects(
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            corners=self.corners[rows],
            labels=self.labels[rows],
            crowd=self.crowd[rows],
            sizes=self.sizes,
            areas=None if self.areas is None else self.areas[rows],
        )

    def padded(self, side: int) -> tuple[NDArray[np.float32], Ints]:
        """Return corners and labels of all but crowds, filled up to the most in one image.

        Corners are in pixels of images resized to `side`, of shape (n, most, 4), 0 where there is
        no object; labels have shape (n, most), -1 there. `most` is 1 at least.
        """
        own = self.where(~self.crowd)
        most = int(own.counts.max(initial=1))
        corners = np.zeros((len(own), most, 4), np.float32)
        labels = np.full((len(own), most), -1, np.int64)
        filled = np.arange(most) < own.counts[:, None]
        corners[filled] = own.corners * np.float32(side)
        labels[filled] = own.labels
        return corners, labels


Labels = Ints | Objects
"""What is known of the images of a split: a class of each, or its objects."""


def gathered(
    owners: Ints,
    *,
    corners: NDArray[np.floating[Any]],
    labels: Ints,
    crowd: NDArray[np.bool_],
    sizes: Ints,
    areas: NDArray[np.float64] | None = None,
) -> Objects:
    """Return objects in any order, of the images that `owners` tells, sorted by image."""
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=len(sizes))
    return Objects(
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        corners=corners[order].astype(np.float32),
        labels=labels[order],
        crowd=crowd[order],
        sizes=sizes,
        areas=None if areas is None or np.isnan(areas).all() else areas[order],
    )

"""Scores of untrained networks: naswot, synflow, snip, grad_norm, zen; rough, in seconds."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nas.accuracy.zero_cost import LABELLED, SCORES, first_batch, random_batch, zero_cost_score
from nas.core.errors import BadValue, NasError, unknown
from nas.network.blocks import Architecture
from nas.searching.problem import Candidates, Metrics
from nas.space.heads import Detectors
from nas.space.space import Space
from nas.training.batches import Batch
from nas.training.data import Data, check_side, load_data
from nas.training.run import fit_to_data
from nas.training.task import check_resolution

SECONDS = {
    "naswot": 10.0,
    "synflow": 0.4,
    "snip": 16.0,
    "grad_norm": 15.0,
    "zen": 7.0,
    "params": 1e-3,
    "macs": 1e-3,
}
"""For EfficientNet-B0 and 64 images of 224 pixels: processor time on one core of an AMD EPYC,
torch 2.13, 2026-11-22. At 32 pixels they are twenty to thirty times less, but for synflow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZeroCost:
    """Scores the untrained networks of a space's architectures on one batch of images.

    They are the first `batch` training images of `data`, or random; with `data` the classifiers are
    made for its classes. `resolution` is that of the images, 0 each architecture's own. All
    networks begin with the same `seed`.
    """

    score: str
    data: Data | None
    batch: int
    resolution: int
    seed: int
    provides: tuple[str, ...] = ("zero_cost",)

    @property
    def seconds(self) -> float:
        """Typical seconds for one candidate, at the default batch and resolution."""
        return SECONDS[self.score]

    @property
    def note(self) -> str:
        """What the numbers are."""
        return (
            f"zero_cost is {self.score} of the untrained network: it is no accuracy, has no unit, "
            "and can only rank; train what you choose"
        )

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return zero_cost of every candidate; larger is meant to be better.

        Raises:
            NasError: if the images do not fit an architecture, or a score is no finite number.
        """
        found = [self._score(arch) for arch in candidates.archs]
        return {"zero_cost": np.array(found, dtype=np.float64)}

    def images(self, side: int) -> Batch:
        """Return the batch at a resolution in pixels."""
        return _images(self.data, self.batch, self.seed, side)

    def _score(self, arch: Architecture) -> float:
        images, labels = self.images(self.resolution or arch.resolution)
        fitted = fit_to_data(arch, self.data) if self.data else arch
        return zero_cost_score(self.score, fitted, images, labels, seed=self.seed)

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return nothing: the noise of a score is unknown."""
        return {}

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        images = self.data.fingerprint if self.data else "random"
        return (
            f"zero_cost:{self.score} data {images} batch {self.batch} "
            f"resolution {self.resolution} seed {self.seed}"
        )


@lru_cache(maxsize=16)
def _images(data: Data | None, batch: int, seed: int, side: int) -> Batch:
    if data is None:
        return random_batch(batch=batch, side=side, seed=seed)
    return first_batch(data, batch=batch, side=side, seed=seed)


def create(  # noqa: PLR0913  # a parameter for every option
    space: Space,
    *,
    data: str = "",
    score: str = "naswot",
    batch: int = 64,
    resolution: int = 0,
    seed: int = 0,
    detectors: Detectors | None = None,
) -> ZeroCost:
    """Return the evaluator for one space.

    `data` names the images, as in "imagefolder:/path": the first `batch` training images are taken,
    shuffled with `seed`. Without data the images are random. A `resolution` below that of the
    architectures, which 0 stands for, is quicker.

    Raises:
        NasError: if there is no such score, it needs data and there are none, or an option is out
            of its range.
    """
    if detectors:
        raise NasError(
            "evaluator zero_cost scores classifiers; for detectors take `evaluator=published`, by "
            "their backbones, or `evaluator=proxy` with data"
        )
    if score not in SCORES:
        raise unknown("zero-cost score", score, SCORES)
    if score in LABELLED and not data:
        raise NasError(
            f"zero-cost score {score} needs labelled images, as in `data=imagefolder:/path`; "
            f"without data there are {', '.join(name for name in SCORES if name not in LABELLED)}"
        )
    if batch < 2:
        raise BadValue(f"batch must be 2 images or more, not {batch}", "batch")
    if resolution:
        check_side(resolution)
        some = space.decode_row(space.sample_matrix(np.random.default_rng(0), 1)[0])
        check_resolution(replace(some, resolution=resolution))
    loaded = load_data(data) if data else None
    return ZeroCost(score=score, data=loaded, batch=batch, resolution=resolution, seed=seed)

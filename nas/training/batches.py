"""Batches of images: read ahead by threads, augmented, normalised, the same on every run."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.core.errors import BadValue
from nas.core.machine import available_cores
from nas.training.augment import Augment
from nas.training.box_augment import BoxAugment
from nas.training.boxes import Boxes
from nas.training.data import Data, Images, check_side
from nas.training.objects import Objects
from nas.training.process_group import SINGLE, ProcessGroup

MAX_THREADS = 32
MIN_CHUNK = 8
"""Fewer images than this are not worth a thread of their own."""

Batch = tuple[Tensor, Any]
"""Images, and what is to be learned of them: a tensor of labels, or `Boxes`, by the task."""
_Made = tuple[Tensor, Any, torch.cuda.Event | None]
"""A batch, and the event after which a GPU may use it."""


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """The batches (images, labels) of one epoch over `images`, from batch `start` on.

    Images are float32 of shape (batch, 3, side, side), channels last, normalised with the mean and
    standard deviation of `data`. Labels are int64 of shape (batch,); where `augment` mixes, they
    are float32 of shape (batch, classes). Of a detector they are `Boxes`, without those of crowds.
    Both are on `device`.

    Order and augmentation depend only on `seed`, `epoch` and the number of the batch: starting at a
    later batch gives exactly the rest of the epoch. `drop_last` leaves out a last batch that is
    smaller than `batch`, unless it is the only one. The threads of an iteration end with it, also
    where it is left early; what fails in them is raised where batches are taken.
    Of every batch this process of `group` takes its share, if there is one left.
    `threads` of 0 reads with as many as there are cores; `ahead` batches are made in advance.
    """

    images: Images
    _: KW_ONLY
    batch: int
    side: int
    data: Data
    seed: int
    epoch: int
    shuffle: bool
    augment: Augment | BoxAugment | None = None
    device: str | torch.device = "cpu"
    start: int = 0
    drop_last: bool = False
    threads: int = 0
    ahead: int = 3
    group: ProcessGroup = SINGLE

    def __post_init__(self) -> None:
        """Refuse sizes that give no batches."""
        check_side(self.side)
        for name, least in (("batch", 1), ("start", 0), ("threads", 0), ("ahead", 1)):
            value = getattr(self, name)
            if value < least:
                raise BadValue(f"{name} must be {least} or more, not {value}", name)

    def __len__(self) -> int:
        """Return the number of batches that one iteration gives."""
        total = count_batches(len(self.images), self.batch, drop_last=self.drop_last)
        return max(total - self.start, 0)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches while later ones are being made."""
        threads = self.threads or min(available_cores(), MAX_THREADS)
        readers = ThreadPoolExecutor(threads, thread_name_prefix="read")
        maker = ThreadPoolExecutor(1, thread_name_prefix="make")  # one: batches come in order
        stream = _stream(self.device)
        order = self._order()
        waiting: deque[Future[_Made]] = deque()
        try:
            for number in range(self.start, self.start + len(self)):
                rows = self.group.share(order[number * self.batch : (number + 1) * self.batch])
                if not len(rows):
                    continue
                size = max(ceil(len(rows) / threads), MIN_CHUNK)
                chunks = [rows[at : at + size] for at in range(0, len(rows), size)]
                parts = [readers.submit(self.images.read, chunk, self.side) for chunk in chunks]
                waiting.append(maker.submit(self._make, number, rows, parts, stream))
                if len(waiting) > self.ahead:
                    yield _taken(waiting.popleft().result())
            while waiting:
                yield _taken(waiting.popleft().result())
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            maker.shutdown(wait=True, cancel_futures=True)
            readers.shutdown(wait=True)

    def _order(self) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(len(self.images), dtype=np.int64)
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.images))

    def _make(
        self,
        number: int,
        rows: NDArray[np.int64],
        parts: list[Future[NDArray[np.uint8]]],
        stream: torch.cuda.Stream | None,
    ) -> _Made:
        """Put a batch together; on a GPU in a stream of its own, beside the training."""
        pixels = torch.from_numpy(np.concatenate([part.result() for part in parts]))
        labels = self._labels(rows)
        if stream is None:
            return *self._vary(pixels, labels, number), None
        with torch.cuda.stream(stream):
            pixels = pixels.pin_memory().to(stream.device, non_blocking=True)
            labels = _mapped(
                labels, lambda part: part.pin_memory().to(stream.device, non_blocking=True)
            )
            return *self._vary(pixels, labels, number), stream.record_event()

    def _labels(self, rows: NDArray[np.int64]) -> Any:
        labels = self.images.labels[rows]
        if isinstance(labels, Objects):
            return Boxes(*map(torch.from_numpy, labels.padded(self.side)))
        return torch.from_numpy(labels)

    def _vary(self, pixels: Tensor, labels: Any, number: int) -> Batch:
        """Return augmented, normalised images, and the labels that go with them."""
        if self.augment is None:
            values = pixels.contiguous(memory_format=torch.channels_last).float().div_(255)
        else:
            generator = torch.Generator().manual_seed(self._seed_of(number))
            values, labels = self._augmented(pixels, labels, generator)
        mean, deviation = (
            torch.tensor(triple, device=values.device)[:, None, None]
            for triple in (self.data.mean, self.data.deviation)
        )
        values = values.sub_(mean).div_(deviation)
        return values.contiguous(memory_format=torch.channels_last), labels

    def _augmented(self, pixels: Tensor, labels: Any, generator: torch.Generator) -> Batch:
        match self.augment:
            case BoxAugment():
                return self.augment.apply(pixels, labels, generator=generator)
            case Augment():
                classes = len(self.data.classes)
                return self.augment.apply(pixels, labels, classes=classes, generator=generator)
        return pixels, labels

    def _seed_of(self, number: int) -> int:
        seeds = np.random.SeedSequence([self.seed, self.epoch, number, self.group.rank])
        return int(seeds.generate_state(1, np.uint64)[0] >> 1)


def _stream(device: str | torch.device) -> torch.cuda.Stream | None:
    """Return a stream for a GPU, so that copies do not wait for the training."""
    if torch.device(device).type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _mapped(labels: Any, change: Callable[[Tensor], Any]) -> Any:
    """Return a tensor of labels, or both of `Boxes`, after `change`."""
    return Boxes(*map(change, labels)) if isinstance(labels, Boxes) else change(labels)


def _taken(made: _Made) -> Batch:
    """Let the stream of training wait for a batch, whose memory is kept until it was used."""
    images, labels, event = made
    if event is not None:
        stream = torch.cuda.current_stream(images.device)
        stream.wait_event(event)
        images.record_stream(stream)
        _mapped(labels, lambda part: part.record_stream(stream))
    return images, labels


def count_batches(images: int, batch: int, *, drop_last: bool = False) -> int:
    """Return the number of batches of a whole epoch over so many `images`."""
    if drop_last and images >= batch:
        return images // batch
    return ceil(images / batch)

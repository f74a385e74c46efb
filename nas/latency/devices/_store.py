"""The models on a phone, which are made and copied in batches that fit into its free space."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas.core.errors import NasError
from nas.latency.backends import Backend
from nas.latency.devices._phone import Phone
from nas.latency.measure.plan import MeasuringJob
from nas.latency.measure.samples import REFERENCE
from nas.network.cost import cost_of

_MODEL_BYTES = 20_000  # of a model without weights


@dataclass
class Store:
    """The models on a phone: the references, and of the others as many as there is space for."""

    phone: Phone
    folder: str
    backend: Backend
    jobs: Sequence[MeasuringJob]
    bytes_free: int
    scratch: Path
    _resident: int = -1
    _there: set[int] = field(default_factory=set)
    _refused: dict[int, str] = field(default_factory=dict)
    _batches: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Divide the jobs among batches, the references into one that stays."""
        sizes = [self._bytes(job) for job in self.jobs]
        references = [job.role == REFERENCE for job in self.jobs]
        room = self.bytes_free - sum(s for s, stays in zip(sizes, references, strict=True) if stays)
        batch, used = 1, 0
        for size, stays in zip(sizes, references, strict=True):
            if stays:
                self._batches.append(0)
                continue
            if used and used + size > room:
                batch, used = batch + 1, 0
            used += size
            self._batches.append(batch)

    def _bytes(self, job: MeasuringJob) -> int:
        return _MODEL_BYTES + 4 * sum(cost_of(unit).params for unit in job.units)

    def arranged(self, jobs: list[int]) -> list[int]:
        """Return jobs batch by batch, those that are there already first."""
        return sorted(jobs, key=lambda job: (self._batches[job] - self._resident) % 10**6)

    def place(self, job: int, wanted: Sequence[int]) -> str:
        """Return where the model of a job is on the phone, brought there with others of its batch.

        Raises:
            NasError: if it cannot be made.
        """
        if job not in self._there and job not in self._refused:
            batch = self._batches[job]
            if batch and batch != self._resident:
                self._clear(batch)
            self._bring([job, *(j for j in wanted if self._batches[j] == batch and j != job)])
        if job in self._refused:
            raise NasError(self._refused[job])
        return f"{self.folder}/{job}.tflite"

    def _clear(self, batch: int) -> None:
        old = [job for job in self._there if self._batches[job]]
        if old:
            self.phone.shell(f"cd {self.folder} && rm -f " + " ".join(f"{j}.tflite" for j in old))
        self._there.difference_update(old)
        self._resident = batch

    def _bring(self, jobs: Sequence[int]) -> None:
        files = []
        for job in dict.fromkeys(jobs):
            if job in self._there or job in self._refused:
                continue
            path = self.scratch / f"{job}.tflite"
            try:
                path.write_bytes(self.backend.compile(self.jobs[job].units))
            except NasError as error:
                self._refused[job] = str(error)
                continue
            files.append(path)
            self._there.add(job)
        if files:
            self.phone.push(files, self.folder)
        for path in files:
            path.unlink()

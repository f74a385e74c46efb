"""Training folders: the files of a training, and whether it may be continued there.

`arch.yaml` and `train.yaml` say what is trained and how, `metrics.jsonl` how it went, epoch by
epoch, and the two checkpoints (`nas.network.checkpoint`) hold the weights. TensorBoard's event
files lie beside them where tensorboard is installed.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.core import strict_json
from nas.core.data import read_mapping, to_yaml
from nas.core.errors import RunError
from nas.core.files import write_text
from nas.core.jsonl import Lines, line_reader
from nas.core.optional import optional
from nas.core.run_folder import TRAINING, Kind, check_same, holds, other
from nas.core.schema import SCHEMA, Fraction, Reader, Seconds, check_keys
from nas.models import state as checkpoint
from nas.network.blocks import Architecture, to_mapping
from nas.network.checkpoint import ARCH, BEST, LAST, SUFFIX, architecture_of, read_header
from nas.network.lineage import LINEAGE, lineage_in, with_lineage
from nas.training.extension import Extended, extension

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
_KEYS = ("schema", "arch", "data", "recipe", "seed", "teacher")
_MORE = ("weights", "quantize", "extended", "supernet", LINEAGE)
"""Only in a training of given weights, with quantization, with more epochs, of a supernet, or of a
network that was found."""

Record = Mapping[str, Any]
_Lengths = tuple[Extended, ...]


class TrainingFolder:
    """The folder of one training, open for writing in one process at a time.

    Raises:
        RunError: if it holds another training, or something else, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        arch: Architecture,
        settings: Mapping[str, Any],
        *,
        kind: Kind = TRAINING,
        extend: bool = False,
    ) -> None:
        """Open or make the folder at `path`, of a `kind`, for a training with `settings`.

        With `extend`, it may hold the same training with fewer epochs.
        """
        self.path, self.arch, self.kind = path, arch, kind
        self._settings = self._checked({"schema": SCHEMA, **settings}, extend)
        self._log = Lines(path / METRICS, writer="another training")
        self._events: Any = None
        self._write_settings()

    def _checked(self, settings: Record, extend: bool) -> dict[str, Any]:
        """Return the settings to keep; refuse a folder that holds another training."""
        path = self.path / self.kind.mark
        if not holds(self.path, self.kind):
            return dict(settings)
        found = read_mapping(path)
        check_keys(found, known=(*_KEYS, *_MORE), required=_KEYS, place=str(path))
        earlier = Reader(path).get(found, "extended", _Lengths) if "extended" in found else ()
        done = int((self.progress() or {}).get("epoch", 0)) if extend else 0
        said = extension(found, settings, done=done, path=path) if extend else None
        if said:
            earlier = (*earlier, Extended(epochs=found["recipe"]["epochs"], done=done))
            found = {**found, "recipe": settings["recipe"]}
        _check(self.path, found, settings)
        if said:
            logger.info("%s", said)
        kept = with_lineage(settings, lineage_in(found, path))
        longer = {"extended": [asdict(e) for e in earlier]} if earlier else {}
        return {**kept, **longer}

    def _write_settings(self) -> None:
        write_text(self.path / ARCH, to_yaml(to_mapping(self.arch)))
        write_text(self.path / self.kind.mark, to_yaml(self._settings))

    def load(self) -> tuple[dict[str, Tensor], Record] | None:
        """Return the tensors and the progress of the last checkpoint; None if there is none.

        Raises:
            NasError: if it is damaged.
        """
        path = self.path / f"{LAST}{SUFFIX}"
        if not path.is_file():
            return None
        found = architecture_of(path)
        if found.fingerprint != self.arch.fingerprint:
            raise RunError(
                f"{path} is of another architecture, {found.name or found.fingerprint}; "
                "give another `out`"
            )
        return checkpoint.load(path), read_header(path).progress

    def progress(self) -> Record | None:
        """Return the progress of the last checkpoint; None if there is none."""
        path = self.path / f"{LAST}{SUFFIX}"
        return read_header(path).progress if path.is_file() else None

    def has(self, name: str) -> bool:
        """Tell whether a file is there."""
        return (self.path / name).is_file()

    def best(self) -> dict[str, Tensor] | None:
        """Return the tensors of the best checkpoint, None if there is none."""
        path = self.path / f"{BEST}{SUFFIX}"
        return checkpoint.load(path) if path.is_file() else None

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Record) -> None:
        """Write a checkpoint; `name` is "best" or "last"."""
        if not self.has(self.kind.mark):  # the folder was removed meanwhile
            self._write_settings()
        checkpoint.save(self.path / f"{name}{SUFFIX}", tensors, {"schema": SCHEMA, **facts})

    def rewind(self, epoch: int) -> tuple[Record, ...]:
        """Drop the metrics of the epochs after `epoch`, and return the others."""
        kept = [
            record
            for number, record in enumerate(self._log.records, start=1)
            if _epoch(self._log.path, number, record) <= epoch
        ]
        if len(kept) < len(self._log.records):
            self._log.close()
            lines = "".join(strict_json.dumps(record) + "\n" for record in kept)
            write_text(self.path / METRICS, lines)
            self._log = Lines(self.path / METRICS, writer="another training")
        if not kept:
            self._log.append({"schema": SCHEMA})
        epochs = tuple(record for record in kept if "epoch" in record)
        self._events = _event_writer(self.path, epochs[-1]["step"] if epochs else 0)
        return epochs

    def log(self, record: Record) -> None:
        """Add the metrics of an epoch, to the lines and to TensorBoard."""
        self._log.append(record)
        events, self._events = self._events, None  # a failure is said once
        if events:
            with optional("TensorBoard's files", logger.warning):
                for name, value in record.items():
                    if name != "step":
                        events.add_scalar(name, value, record["step"])
                events.flush()
                self._events = events

    def close(self) -> None:
        """Let others write."""
        self._log.close()
        if self._events:
            with optional("TensorBoard's files", logger.warning):
                self._events.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Epoch:
    """The required keys of the line of an epoch; the first line, the header, has no epoch."""

    epoch: int
    step: int
    seconds: Seconds
    top1: Fraction | None = None
    map: Fraction | None = None


def _epoch(path: Path, number: int, record: Record) -> int:
    """Return the epoch of a line, counted from 1; 0 for the header."""
    read = line_reader(path, number)
    return read.record(record, _Epoch, more=True).epoch if "epoch" in record else 0


def _event_writer(path: Path, step: int) -> Any:
    """Return a writer of TensorBoard's files that hides what came after `step`, or None."""
    with optional("TensorBoard's files", logger.warning):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:  # an optional package
            return None
        return SummaryWriter(str(path), purge_step=step + 1)
    return None


def _check(path: Path, found: Record, settings: Record) -> None:
    """Refuse a `path` with another training, `found`; names may change where fingerprints agree."""
    for key in (*_KEYS, "weights", "quantize", "supernet"):
        start = f"{path} is a training with another {key}"
        old, new = found.get(key), settings.get(key)
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            if old != new:
                raise other(f"{start} is", old, new)
        elif "fingerprint" not in new or old.get("fingerprint") != new["fingerprint"]:
            named = ("name",) if key == "recipe" else ()
            check_same(f"{start}: its", old, new, may_change=named)

"""The samples of a measurement elsewhere, as a file here that grows with them."""

from collections.abc import Mapping
from typing import Any

from nas.core import strict_json
from nas.core.errors import RunError
from nas.core.files import read_bytes
from nas.core.jsonl import Lines, Record
from nas.latency.measure.plan import to_mapping
from nas.latency.measure.run import Measurement
from nas.latency.measure.samples import check_same, header


class Mirror:
    """The file of samples of a measurement, which always begins as the one on the device does.

    `started` tells whether the device was told to measure, since the file was opened.

    Raises:
        RunError: if the file is of another measurement, damaged, or written by another process.
    """

    def __init__(self, asked: Measurement) -> None:
        """Open the file, which may be new."""
        self.asked, self.started = asked, False
        self._plan: Mapping[str, Any] = to_mapping(asked.plan)
        self._file = Lines(asked.path, writer="another measurement")
        self._records = list(self._file.records)
        try:
            if self._records:
                self._check(self._records[0])
        except RunError:
            self.close()
            raise

    def __len__(self) -> int:
        """Return how many lines there are."""
        return len(self._records)

    def content(self) -> bytes:
        """Return the whole file, for a device that has none or less of it."""
        return read_bytes(self.asked.path)

    def take(self, number: int, text: str) -> None:
        """Take line `number`, from 0, which is the next one, or equals one that is known.

        Raises:
            RunError: if it differs from what is known, or cannot be written.
        """
        record = strict_json.parse(text)
        if not isinstance(record, dict):
            raise RunError(f"the device sent a line that is no record: {text[:100]}")
        if number < len(self):
            if record != self._records[number]:
                raise RunError(
                    f"{self.asked.path} and the samples on the device differ from line "
                    f"{number + 1} on; {self.asked.instead}, or delete it"
                )
            return
        if not number:
            self._check(record)
        self._file.append(record)
        self._records.append(record)

    def close(self) -> None:
        """Flush to the disk and release the file."""
        self._file.close()

    def _check(self, found: Record) -> None:
        target = self.asked.target
        wanted = header(
            self._plan,
            runtime=str(found.get("runtime")),
            threads=target.threads,
            dtype=target.dtype,
            graph=target.graph,
        )
        check_same(found, wanted, path=self.asked.path, instead=self.asked.instead)

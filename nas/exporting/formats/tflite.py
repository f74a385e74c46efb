"""A .tflite file that LiteRT runs, channels last; random weights unless some are given."""

from functools import partial

from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.tflite import to_tflite


def create(*, seed: int = 0, batch: int = 0) -> Exporter:
    """Return the exporter of `nas.exporting.tflite.to_tflite`, in fp32.

    `seed` draws the random weights; `batch` of 0 gives 1 that may be resized when it is run, and
    with it height and width where the network pools.
    """
    graph = partial(to_tflite, seed=seed, batch=batch or None)
    return FileExporter(
        suffix=".tflite", content=lambda arch, weights, facts: graph(arch, weights, metadata=facts)
    )

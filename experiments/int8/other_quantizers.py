"""Other quantizers of the same networks, with the same calibration images."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

METHODS: Mapping[str, CalibrationMethod] = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
_EDGE = Path(__file__).with_name("edge_quantizer.py")


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Gives calibration images one batch after the other."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.rest: Iterator[Any] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        images = next(self.rest, None)
        return None if images is None else {"input": images}


def by_onnxruntime(model: onnx.ModelProto, batches: Sequence[Any], method: str) -> onnx.ModelProto:
    """Return what onnxruntime's quantizer makes of `model`."""
    with TemporaryDirectory() as folder:
        plain, ready, made = (str(Path(folder) / f"{name}.onnx") for name in ("a", "b", "c"))
        onnx.save(model, plain)
        quant_pre_process(plain, ready)
        quantize_static(
            ready, made, _Reader(batches),
            quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
        )  # fmt: skip
        return onnx.load(made)


def by_edge_quantizer(plain: bytes, batches: Sequence[Any], python: Path) -> bytes:
    """Return what ai-edge-quantizer, which `python` has, makes of a float .tflite file."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "float.tflite").write_bytes(plain)
        np.save(folder / "images.npy", np.concatenate(batches).transpose(0, 2, 3, 1))
        words = [str(folder / file) for file in ("float.tflite", "images.npy", "int8.tflite")]
        subprocess.run([str(python), str(_EDGE), *words], check=True, capture_output=True)
        return (folder / "int8.tflite").read_bytes()

"""An ONNX graph that onnxruntime runs, in the place of a torch model."""

from collections.abc import Sequence

import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from nas.core.errors import NasError, first_line
from nas.core.exact_int8 import OPTIONS

_FATAL_ONLY = 4


def session_of(model: onnx.ModelProto, *, threads: int = 1) -> ort.InferenceSession:
    """Return a session that runs `model`.

    Raises:
        NasError: if onnxruntime refuses it, as it does where it lacks an operator for bytes.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _FATAL_ONLY
    for option in OPTIONS.items():
        options.add_session_config_entry(*option)
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own errors share no base but Exception
        raise NasError(_refusal(model, first_line(error))) from None


def _refusal(model: onnx.ModelProto, said: str) -> str:
    """Return the message for a graph that onnxruntime refuses, with the layer if it says which."""
    nodes = [node for node in model.graph.node if node.name and node.name in said]
    nodes += [node for node in model.graph.node if f":{node.op_type}(" in said]
    if not nodes:
        return f"onnxruntime refuses the graph: {said}"
    node = max(nodes, key=lambda one: (one.name in said, len(one.name)))
    return (
        f"onnxruntime has no {node.op_type} as {node.name} needs it; update onnxruntime, or keep "
        f"that layer in float by a lower `max_drop`. It says: {said}"
    )


class RuntimeModel(nn.Module):
    """Maps images to what the graph gives: logits, or the box numbers and scores of a detector."""

    def __init__(self, model: onnx.ModelProto, *, threads: int = 1) -> None:
        """Open a session for `model`.

        Raises:
            NasError: if onnxruntime refuses it.
        """
        super().__init__()
        self.session = session_of(model, threads=threads)
        self.input = self.session.get_inputs()[0].name

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the graph on (batch, channels, height, width)."""
        given = {self.input: images.contiguous().numpy()}
        found: Sequence[Tensor] = [torch.from_numpy(v) for v in self.session.run(None, given)]
        return found[0] if len(found) == 1 else tuple(found)

"""A folder that huggingface_hub uploads as it is: weights, graphs, config.json and a model card.

The weights have timm's names where timm can build the network; `timm.create_model` loads the folder
by itself where the network is one that it knows.
"""

import re
from collections.abc import Mapping

from nas.core.data import to_json, to_yaml
from nas.core.errors import BadValue, NasError
from nas.core.plugin_text import without_folders
from nas.core.text import shown
from nas.exporting.card import LATENCY, Card, model_card
from nas.exporting.detector_config import detector_config
from nas.exporting.onnx import detector_to_onnx, to_onnx
from nas.exporting.tensor_file import TENSORS, tensor_file
from nas.exporting.tflite import detector_to_tflite, to_tflite
from nas.exporting.timm import LIBRARY, timm_files
from nas.exporting.timm_config import CONFIG, known_name, timm_config
from nas.network.blocks import Architecture, to_mapping
from nas.network.detector import default_nms
from nas.network.lineage import LINEAGE
from nas.network.lowering import lower
from nas.network.weights import Weights, check_weights, weight_shapes

_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,80}")
_GRAPHS = ("model.onnx", "model.tflite")
_WHAT = {
    TENSORS: "the weights, under the names of timm",
    "model.py": "builds the network with timm: `from model import model`",
    "timm.json": "what it tells timm: strings of blocks and keyword arguments",
    "model.onnx": "the network for onnxruntime",
    "model.tflite": "the network for LiteRT",
    "arch.yaml": "the architecture, block by block",
    CONFIG: "the classes and how images become the input, as timm has them",
}


def hub_files(
    arch: Architecture,
    weights: Weights | None,
    metadata: Mapping[str, str] | None,
    *,
    licence: str = "",
) -> dict[str, bytes]:
    """Return the files of the folder of `arch`; without `weights` there are no graphs in it.

    Raises:
        NasError: if the weights do not fit, or the licence is no identifier.
    """
    if licence and not _LICENCE.fullmatch(licence):
        wanted = "an identifier of a licence, as apache-2.0"
        raise NasError(f"licence must be {wanted}, not {shown(licence)}")
    facts = dict(metadata or {})
    facts |= {"data": without_folders(facts["data"])} if "data" in facts else {}
    files = _weights(arch, weights)
    found = arch.detector
    config = detector_config(arch, found, facts) if found else timm_config(arch, facts)
    own_names = TENSORS in files and "timm.json" not in files
    if own_names and not found:
        first, *_, last = (name.rpartition(".")[0] for name in weight_shapes(lower(arch)))
        config["pretrained_cfg"] |= {"first_conv": first, "classifier": last}
    if licence:
        config["pretrained_cfg"]["license"] = licence
    if weights is not None:
        given = {name: value for name, value in facts.items() if name not in (LATENCY, LINEAGE)}
        files |= _graphs(arch, weights, given)
    files["arch.yaml"] = to_yaml(to_mapping(arch)).encode()
    files[CONFIG] = to_json(config).encode()
    what = {name: _WHAT[name] for name in files}
    if found:
        what |= {name: f"{what[name]}; it ends in boxes" for name in _GRAPHS if name in files}
        what[CONFIG] = "the classes, the anchors, and how images become the input"
    if own_names:
        built = "nas.build_model(nas.load_architecture('arch.yaml'))"
        what[TENSORS] = f"the weights, by the names of `{built}`"
    library = LIBRARY if not found and known_name(arch) else ""
    card = Card(files=what, licence=licence, library=library)
    return {**files, "README.md": model_card(arch, facts, card).encode()}


def _graphs(arch: Architecture, weights: Weights, facts: Mapping[str, str]) -> dict[str, bytes]:
    """Return the graphs for onnxruntime and LiteRT; those of a detector end in boxes."""
    if arch.detector:
        nms = default_nms(arch.detector)
        graph = detector_to_onnx(arch, weights, nms=nms, metadata=facts)
        lite = detector_to_tflite(arch, weights, nms=nms, metadata=facts)
    else:
        graph = to_onnx(arch, weights, batch=None, metadata=facts)
        lite = to_tflite(arch, weights, metadata=facts)
    return dict(zip(_GRAPHS, (bytes(graph.SerializeToString()), lite), strict=True))


def _weights(arch: Architecture, weights: Weights | None) -> dict[str, bytes]:
    """Return the files of the weights, and for timm where it can build the network."""
    try:
        return timm_files(arch, weights, None)
    except BadValue:
        if weights is None:
            return {}
        check_weights(lower(arch), weights)
        return {TENSORS: tensor_file(weights)}

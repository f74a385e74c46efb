"""Networks as timm builds them: strings of blocks, keyword arguments, and weights by its names.

A string is `type_rN_kN_sN_eX_cN_seX_nACT_noskip`, as in ir_r3_k5_s2_e3_c40_se0.25_nre: how often
the block is repeated, kernel, stride (of the first), expansion, channels, squeeze-and-excitation,
activation, and no shortcut; what is left out is the network's own, or none. The types are ds (no
expansion), dsa (MobileNetV1's, both parts activated), ir (with expansion) and cn (a plain
convolution). Ratios are the shortest that give exactly the channels of the architecture by timm's
arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from nas.core.data import to_json
from nas.core.schema import SCHEMA
from nas.exporting.detector_config import check_classifier
from nas.exporting.ratios import shortest
from nas.exporting.tensor_file import TENSORS, tensor_file
from nas.exporting.timm_config import CONFIG, timm_config
from nas.network.blocks import Architecture
from nas.network.layers import Unit
from nas.network.lowering import lower
from nas.network.multipliers import round_channels
from nas.network.naming.tensors import Names, Stages, no_place, renamed
from nas.network.naming.timm import (
    block_type,
    split_at_strides,
    split_names,
    stages,
    timm_names,
)
from nas.network.weights import Weights, check_weights

LIBRARY = "timm"
_ACTS = {"relu": "relu", "relu6": "relu6", "hswish": "hard_swish", "swish": "swish"}
_SHORT = {"relu": "nre", "relu6": "nr6", "hswish": "nhs", "swish": "nsw"}
_GATES = {"sigmoid": "sigmoid", "hsigmoid": "hard_sigmoid"}
_SPEC, _PROGRAM = "timm.json", "model.py"
_BUILD = f'''"""The network of {_SPEC}, built by timm: from model import model."""

import json
from functools import partial
from pathlib import Path

import timm.models
from timm.layers import get_act_layer
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def
from torch.nn import BatchNorm2d

here = Path(__file__).parent
spec = json.loads((here / "{_SPEC}").read_text(encoding="utf-8"))
{{before}}model = getattr(timm.models, spec["model"])(
    decode_arch_def(spec["arch_def"]),
    act_layer=get_act_layer(spec["act_layer"]),
    norm_layer=partial(BatchNorm2d, **spec["norm_layer"]),
    se_layer={{se_layer}},
    round_chs_fn=int,
    **spec["arguments"],
).eval()
'''
_ONE_SQUEEZE = {"before": "", "se_layer": 'partial(SqueezeExcite, **spec["se_layer"])'}
_EACH_SQUEEZE = {
    "se_layer": "squeeze",
    "before": '''squeezes = iter(spec["se_layer"])


def squeeze(channels, act_layer=None, **given):
    """The next squeeze-and-excitation; timm tries one, without an activation, before it begins."""
    own = next(squeezes) if act_layer else {}
    return SqueezeExcite(channels, act_layer=act_layer or "relu", **own, **given)


''',
}
_LOAD = f'timm.models.load_checkpoint(model, str(here / "{TENSORS}"))\n'
_STRIDE = 32
"""The output stride beyond which timm dilates where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmNetwork:
    """What timm is told to build a network.

    `model` is the class of timm; `arch_def` a list of strings for each stage. `norm_layer` and
    `se_layer` are keyword arguments of the normalisation and of SqueezeExcite, the second for each
    of them where gates or activations differ; `arguments` are all other ones of the class. `names`
    are those of the tensors, from ours.
    """

    model: str
    arch_def: tuple[tuple[str, ...], ...]
    act_layer: str
    norm_layer: Mapping[str, float]
    se_layer: Mapping[str, str] | tuple[Mapping[str, str], ...]
    arguments: Mapping[str, Any]
    names: Names

    def as_mapping(self) -> dict[str, Any]:
        """Return what is read by the file that builds the network."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "arch_def": self.arch_def,
            "act_layer": self.act_layer,
            "norm_layer": self.norm_layer,
            "se_layer": self.se_layer,
            "arguments": self.arguments,
        }


def timm_files(
    arch: Architecture, weights: Weights | None, metadata: Mapping[str, str] | None
) -> dict[str, bytes]:
    """Return the files of a folder from which timm builds `arch`, with `weights` where some are.

    `metadata` are those of a checkpoint.

    Raises:
        NasError: if a block cannot be said in timm's strings, or the weights do not fit.
    """
    check_classifier(arch, LIBRARY)
    network = timm_network(arch)
    one_by_one = isinstance(network.se_layer, tuple)
    program = _BUILD.format(**(_EACH_SQUEEZE if one_by_one else _ONE_SQUEEZE))
    files = {_SPEC: to_json(network.as_mapping()).encode(), _PROGRAM: program.encode()}
    if weights is not None:
        check_weights(lower(arch), weights)
        files[_PROGRAM] += _LOAD.encode()
        files[TENSORS] = tensor_file(renamed(weights, network.names))
        files[CONFIG] = to_json(timm_config(arch, metadata or {})).encode()
    return files


def timm_network(arch: Architecture) -> TimmNetwork:
    """Return what timm is told to build `arch`.

    Raises:
        BadValue: if a block cannot be said in its strings; it names the block, and says why.
    """
    timm_names(arch)  # names of ours in what it refuses
    names, split = split_names(arch), split_at_strides(arch)
    shapes = {tensor.name: tensor.shape for tensor in names.values()}
    model = "MobileNetV3" if "conv_head.bias" in shapes else "EfficientNet"
    ours = dict(zip((u.name for u in lower(split)), lower(arch), strict=True))
    stem, *_ = lower(arch)
    body = tuple(tuple(ours[unit.name] for unit in stage) for stage in stages(split))
    _check_stem(stem, model)
    _check_stages(stem, body)
    _check_head(stem, lower(arch)[-len(arch.head) :])
    arguments = {
        "num_classes": shapes["classifier.weight"][0],
        "num_features": shapes.get("conv_head.weight", (0,))[0],
        "in_chans": arch.input_channels,
        "stem_size": shapes["conv_stem.weight"][0],
        "drop_rate": arch.dropout,
        "drop_path_rate": arch.drop_connect,
        **({} if arch.padding == "symmetric" else {"pad_type": arch.padding}),
        **_unusual(stem, body, model),
    }
    return TimmNetwork(
        model=model,
        arch_def=tuple(_strings(stage, stem.block.act, model) for stage in body),
        act_layer=_ACTS[stem.block.act],
        norm_layer={"eps": arch.norm_epsilon},
        se_layer=_squeeze([unit for unit in chain(*body) if unit.block.squeezes]),
        arguments=arguments,
        names=names,
    )


def _check_stem(stem: Unit, model: str) -> None:
    block = stem.block
    if block.stride != 2:
        no_place(stem, LIBRARY, f"begins with a stride of 2, not {block.stride}")
    if block.kernel != 3 and model == "MobileNetV3":
        no_place(stem, LIBRARY, f"has no kernel of {block.kernel} before a head like MobileNetV3's")
    _check_act(stem)


def _check_act(unit: Unit) -> None:
    if unit.block.act not in _ACTS:
        no_place(unit, LIBRARY, f"has no activation {unit.block.act} in its strings")


def _check_stages(stem: Unit, body: Stages) -> None:
    if not body:
        no_place(stem, LIBRARY, "has blocks behind the first convolution")
    for stage in body:
        for i, unit in enumerate(stage):
            _check_act(unit)
            if unit.shortcut == "pool":
                no_place(unit, LIBRARY, "has no pooled shortcuts")
            if unit.block.stride > (1 if i else 2):
                no_place(unit, LIBRARY, f"has no stride of {unit.block.stride} here")


def _check_head(stem: Unit, head: Sequence[Unit]) -> None:
    """Refuse a head whose layers are none of those that stand behind the blocks."""
    *before, last = head
    for unit in before:
        if unit.block.kind == "conv" and unit.block.kernel * unit.block.stride > 1:
            no_place(unit, LIBRARY, "has a 1x1 convolution in its head")
        if unit.block.kind in ("conv", "linear") and unit.block.act != stem.block.act:
            no_place(unit, LIBRARY, f"has the activation of its stem here, {stem.block.act}")
    if last.block.act != "none":
        no_place(last, LIBRARY, f"has no {last.block.act} behind its classifier")


def _unusual(stem: Unit, body: Stages, model: str) -> dict[str, Any]:
    """Return the arguments that few networks need.

    Raises:
        BadValue: if the class of timm has no such argument.
    """
    found = {} if stem.block.kernel == 3 else {"stem_kernel_size": stem.block.kernel}
    strided = [unit for stage in body for unit in stage if unit.block.stride > 1]
    stride = stem.block.stride * 2 ** len(strided)
    if stride > _STRIDE and model == "MobileNetV3":
        no_place(strided[-1], LIBRARY, f"has no strides beyond {_STRIDE} with MobileNetV3's head")
    return {**found, "output_stride": stride} if stride > _STRIDE else found


def _squeeze(units: Sequence[Unit]) -> Mapping[str, str] | tuple[Mapping[str, str], ...]:
    """Return the arguments of all squeeze-and-excitations, or those of each where they differ."""
    for unit in units:
        if unit.block.se_act not in _ACTS:
            no_place(unit, LIBRARY, f"has no activation {unit.block.se_act} in its strings")
    blocks = [unit.block for unit in units]
    gates = [{"gate_layer": _GATES[block.gate]} for block in blocks]
    forced = [{"force_act_layer": _ACTS[block.se_act]} for block in blocks]
    each = tuple(gate | force for gate, force in zip(gates, forced, strict=True))
    if all(block.se_act == block.act for block in blocks) and gates[1:] == gates[:-1]:
        return gates[0] if gates else {}
    return each[0] if each[1:] == each[:-1] else each


def _strings(stage: Sequence[Unit], act: str, model: str) -> tuple[str, ...]:
    """Return the strings of a stage; equal blocks are one."""
    groups: list[tuple[tuple[str, str, str], int, int]] = []
    for unit in stage:
        block = unit.block
        around = (block_type(block), f"k{block.kernel}", _words(unit, act, model))
        if groups and groups[-1][0] == around and block.stride == 1:
            groups[-1] = (*groups[-1][:2], groups[-1][2] + 1)
        else:
            groups.append((around, block.stride, 1))
    return tuple(
        f"{kind}_r{times}_{kernel}_s{stride}{words}"
        for (kind, kernel, words), stride, times in groups
    )


def _words(unit: Unit, act: str, model: str) -> str:
    """Return what a string says behind the stride."""
    block, expansion = unit.block, ""
    if block_type(block) == "ir":
        expansion = _expansion(unit)
    words = [f"e{expansion}"] if expansion else []
    words.append(f"c{block.out_channels}")
    if block.squeezes:
        by = float(expansion) if expansion and model == "EfficientNet" else 1.0
        words.append(f"se{_ratio(unit, by)}")
    words += [_SHORT[block.act]] if block.act != act else []
    joins = block.kind == "mbconv" and block.stride == 1 and block.keeps_channels
    words += ["noskip"] if joins and unit.shortcut == "none" else []
    return "".join(f"_{word}" for word in words)


def _expansion(unit: Unit) -> str:
    """Return the ratio of the hidden channels, which timm rounds to multiples of 8."""
    block = unit.block
    found = shortest(
        block.hidden_channels / block.in_channels,
        lambda ratio: round_channels(block.in_channels * ratio) == block.hidden_channels,
    )
    if not found:
        near = round_channels(block.hidden_channels)
        why = f"has hidden channels in multiples of 8, not {block.hidden_channels} (but {near})"
        no_place(unit, LIBRARY, why)
    return found


def _ratio(unit: Unit, by: float) -> str:
    """Return the ratio of squeeze-and-excitation, which is divided `by` something there."""
    block = unit.block
    inner = block.hidden_channels or block.in_channels
    wanted = block.se_channels
    found = shortest(wanted / inner * by, lambda ratio: round(inner * (ratio / by)) == wanted)
    return found or no_place(unit, LIBRARY, f"has no ratio that squeezes {inner} to {wanted}")

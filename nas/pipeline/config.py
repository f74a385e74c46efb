"""The settings of a pipeline: a YAML file with a section for each of its stages."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from nas.core import plugins
from nas.core.data import read_mapping, to_yaml
from nas.core.errors import BadValue
from nas.core.files import write_text
from nas.core.plugins import Plugin
from nas.core.schema import (
    SCHEMA,
    Count,
    Fraction,
    Name,
    OneOf,
    Range,
    Reader,
    Texts,
    check_keys,
)
from nas.exporting.int8.ranges import METHODS
from nas.latency.eras import table_of_era
from nas.latency.measure.run import HERE
from nas.pruning.netadapt import Settings
from nas.scaling.growth import Growth
from nas.searching.config import SearchConfig
from nas.searching.precision import DTYPES
from nas.space.space import INT8

STAGES = ("search", "train", "netadapt", "scale", "quantize", "export")
"""The stages in their order; each has a section in the file and a folder in the run."""

_REQUIRED = ("schema", "data", "latency_table", "search", "train")
_ONCE = ("data", "latency_table", "dtype", "seed")
"""Settings of a search that are given once, for all stages."""
_INHERIT = "inherit"
"""A key of the section `search`, for the option of its evaluator."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TAKEN = ("found", "trained", "pruned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the solution `arch` of the search, "best" or the name of one on the front, is trained.

    The other names are the flags of `nas train`; 0 (1 for `accumulate`) means the recipe's value,
    or for the resolution the architecture's. All trainings of this stage and of `scale` inherit the
    fitting weights of a relative, `weights`, since the network is not known before the search.
    """

    arch: Name = "best"
    recipe: str = "auto"
    epochs: int = 0
    batch: int = 0
    accumulate: int = 1
    lr: float = 0.0
    resolution: int = 0
    teacher: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        if self.arch != "best" and not self.arch.isdigit():
            raise BadValue(
                f"arch is best or the number of a solution, as '003', not {self.arch!r}",
                "arch",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """How NetAdapt fine-tunes, and where: flags of `nas netadapt`."""

    recipe: str = "auto"
    lr: float = 0.0
    batch: int = 0
    workers: Count = 1
    runner: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """The section `netadapt`."""

    settings: Settings
    tuning: FineTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The networks to scale to, by name; they are trained for `epochs` unless that is 0."""

    networks: Mapping[str, Growth]
    epochs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How the final networks are quantized: flags of `nas quantize`.

    With `epochs` they are trained with quantization before, by `recipe`. `max_drop` counts from
    the float graph of what is quantized.
    """

    backend: Annotated[str, OneOf(("onnxruntime", "litert"))] = "onnxruntime"
    images: Count = 128
    calibration: Annotated[str, OneOf(("auto", *METHODS))] = "auto"
    max_drop: Fraction = 1.0
    epochs: Annotated[int, Range(0)] = 0
    recipe: str = INT8


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """The formats in which results are exported, as in `nas export --format`."""

    format: Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """All settings of a pipeline; a stage that is None is skipped.

    `data`, `latency_table`, `dtype`, `seed` and `device` apply to all stages. With `dtype` int8,
    latencies are those in int8, and the final networks are quantized even without `quantize`. At
    the end all networks are measured end to end on `measure_device`, `measure_rounds` times; 0
    skips this.
    """

    data: str
    latency_table: str
    dtype: Annotated[str, OneOf(("", *DTYPES))] = ""
    seed: int = 0
    device: str = "auto"
    out: str = ""
    measure_rounds: int = 24
    measure_device: str = HERE
    search: SearchConfig
    train: Training
    netadapt: Pruning | None = None
    scale: Scaling | None = None
    quantize: Quantization | None = None
    export: Exports | None = None

    def __post_init__(self) -> None:
        if self.dtype == INT8 and self.quantize is None:
            object.__setattr__(self, "quantize", Quantization())


def read_pipeline(path: Path, *, allow_plugins: bool = False) -> PipelineConfig:
    """Read the file of a pipeline; its plugins by dotted path run only with `allow_plugins`.

    Raises:
        BadFile: if it is missing or malformed, or a key is unknown, missing or wrong; it names the
            line and the key.
    """
    content = read_mapping(path)
    reader = Reader(path)
    kinds = get_type_hints(PipelineConfig, include_extras=True)
    check_keys(content, known=("schema", "era", *kinds), required=_REQUIRED, place=str(path))
    given = [name for name in kinds if name in content and name not in STAGES]
    once = {name: reader.get(content, name, kinds[name]) for name in given}
    if "era" in content:
        era = reader.get(content, "era", Name)
        once["latency_table"] = table_of_era(once["latency_table"], era)
    config = PipelineConfig(
        **once,
        search=_search(reader, content, once),
        train=_record(reader, content, "train", Training),
        netadapt=_netadapt(reader, content, once.get("seed", 0)) if "netadapt" in content else None,
        scale=_scale(reader, content) if "scale" in content else None,
        quantize=_optional(reader, content, "quantize", Quantization),
        export=_optional(reader, content, "export", Exports),
    )
    config = plugins.trusted(config) if allow_plugins else config
    config = _inheriting(config, reader, content["search"])
    evaluator = Plugin.parse(config.search.evaluator).name
    trains = plugins.takes("evaluators", evaluator, "data")
    return replace(config, search=replace(config.search, data=config.data if trains else ""))


def write_pipeline(config: PipelineConfig, path: Path) -> None:
    """Write the file that `read_pipeline` reads."""
    write_text(path, to_yaml({"schema": SCHEMA, **to_mapping(config)}))


def to_mapping(config: PipelineConfig) -> dict[str, Any]:
    """Return the settings as the content of a file, with defaults filled in."""
    plain = _plain({f.name: getattr(config, f.name) for f in fields(config)})
    search = {k: v for k, v in asdict(config.search).items() if k not in _ONCE}
    made = {**plain, "search": _plain(search)}
    if config.netadapt:
        settings, tuning = asdict(config.netadapt.settings), asdict(config.netadapt.tuning)
        made["netadapt"] = _plain({**settings, **tuning, "seed": None})
    return made


def _plain(value: Any) -> Any:
    """Return records as mappings and tuples as lists, without values of None."""
    if hasattr(value, "__dataclass_fields__"):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return list(value) if isinstance(value, tuple) else value


T = TypeVar("T")
_MAPPING = Mapping[str, Any]


def _record(
    reader: Reader,
    data: Mapping[str, Any],
    key: str,
    kind: type[T],
    *,
    known: Collection[str] | None = None,
) -> T:
    """Return the record in one section; `known` are all allowed keys, if there are further ones."""
    section, inside = reader.get(data, key, _MAPPING), Reader(f"{reader.path}, {key}")
    if known is not None:
        check_keys(section, known=known, required=(), place=str(inside.path))
    return inside.record(section, kind, more=known is not None)


def _optional(reader: Reader, data: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    return _record(reader, data, key, kind) if key in data else None


def _names(*kinds: Any, without: tuple[str, ...]) -> list[str]:
    return [f.name for kind in kinds for f in fields(kind) if f.name not in without]


def _search(reader: Reader, content: Mapping[str, Any], once: Mapping[str, Any]) -> SearchConfig:
    known = (*_names(SearchConfig, without=_ONCE), _INHERIT)
    made = _record(reader, content, "search", SearchConfig, known=known)
    return replace(made, **{key: once[key] for key in _ONCE if key in once and key != "data"})


def _inheriting(
    config: PipelineConfig, reader: Reader, section: Mapping[str, Any]
) -> PipelineConfig:
    """Return `config` with the weights that the trainings of section `search` inherit."""
    if _INHERIT not in section:
        return config
    source = Reader(f"{reader.path}, search").get(section, _INHERIT, str)
    made = plugins.with_option("evaluators", config.search.evaluator, _INHERIT, source)
    return replace(config, search=replace(config.search, evaluator=made))


def _netadapt(reader: Reader, content: Mapping[str, Any], seed: int) -> Pruning:
    known = _names(Settings, FineTuning, without=("seed",))
    settings = _record(reader, content, "netadapt", Settings, known=known)
    tuning = _record(reader, content, "netadapt", FineTuning, known=known)
    return Pruning(settings=replace(settings, seed=seed), tuning=tuning)


def _scale(reader: Reader, content: Mapping[str, Any]) -> Scaling:
    section, place = reader.get(content, "scale", _MAPPING), f"{reader.path}, scale"
    known = _names(Scaling, without=())
    check_keys(section, known=known, required=("networks",), place=place)
    wanted = reader.get(section, "networks", _MAPPING)
    for name in wanted:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise Reader(place).fail(
                "a network is named by letters, digits, '_', '.' and '-', and not "
                f"{', '.join(_TAKEN)}: {name!r}",
                wanted,
                name,
            )
    networks = {name: _record(reader, wanted, name, Growth) for name in wanted}
    epochs = reader.get(section, "epochs", int) if "epochs" in section else 0
    return Scaling(networks=networks, epochs=epochs)

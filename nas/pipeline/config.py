"""What the user asks of a pipeline: a YAML file with a section for each command of the line."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nas.core import plugins
from nas.core.data import read_mapping, to_yaml
from nas.core.errors import BadFile, BadValue, NasError
from nas.core.files import write_text
from nas.core.plugins import Plugin
from nas.core.schema import SCHEMA, Reader, check_keys, locate
from nas.pruning.netadapt import Settings
from nas.scaling.growth import Growth
from nas.searching.config import SearchConfig

STAGES = ("search", "train", "netadapt", "scale", "export")
"""The parts of the line in their order; each has a section in the file and a folder in the run."""

_REQUIRED = ("schema", "data", "latency_table", "search", "train")
_ONCE = ("data", "latency_table", "era", "seed")
"""Settings of a search that are given once, for all stages."""
_DIGITS = ("era", "arch")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TAKEN = ("found", "trained", "pruned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the candidate `arch` of the search is trained: "best", or the name of one of the front.

    The other names are the flags of `nas train`; 0 leaves a value to the recipe, or the resolution
    to the architecture.
    """

    arch: str = "best"
    recipe: str = "adamw"
    epochs: int = 0
    batch: int = 0
    accumulate: int = 1
    lr: float = 0.0
    resolution: int = 0
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.arch != "best" and not self.arch.isdigit():
            raise BadValue(
                f"arch is best or the number of a member of the front, as '003', not {self.arch!r}",
                "arch",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """How NetAdapt fine-tunes, and where: flags of `nas netadapt`, which say more of them."""

    recipe: str = "quick"
    lr: float = 0.0
    batch: int = 0
    workers: int = 1
    runner: str = "local"

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadValue("workers must be a whole number >= 1, not 0", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """The section `netadapt`."""

    settings: Settings
    tuning: FineTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The networks that the line's network is scaled to, by name; trained for `epochs` if not 0."""

    networks: Mapping[str, Growth]
    epochs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """The formats that the results are written in, as `nas export --format` takes them."""

    format: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """All settings of a pipeline; None is a stage that is left out.

    `data`, `latency_table`, `era`, `seed` and `device` hold for all stages. All networks are
    measured whole on this machine in the end, in `measure_rounds` visits; 0 measures nothing.
    """

    data: str
    latency_table: str
    era: str = ""
    seed: int = 0
    device: str = "auto"
    out: str = ""
    measure_rounds: int = 24
    search: SearchConfig
    train: Training
    netadapt: Pruning | None = None
    scale: Scaling | None = None
    export: Exports | None = None


def read_pipeline(path: Path, *, allow_plugins: bool = False) -> PipelineConfig:
    """Read the file of a pipeline, whose dotted plugins run only with `allow_plugins`.

    Raises:
        BadFile: if it is missing or malformed, a key is unknown or missing, or a value cannot be;
            it names the line and the key.
    """
    content = read_mapping(path)
    reader = Reader(path)
    known = [f.name for f in fields(PipelineConfig)]
    check_keys(content, known=("schema", *known), required=_REQUIRED, place=str(path))
    once = _values(reader, content, PipelineConfig, without=STAGES)
    parts = {name: _SECTIONS[name](reader, content, once) for name in STAGES if name in content}
    config = PipelineConfig(**once, **parts)
    config = plugins.trusted(config) if allow_plugins else config
    judge = Plugin.parse(config.search.evaluator).name
    trains = plugins.takes("evaluators", judge, "data")
    return replace(config, search=replace(config.search, data=config.data if trains else ""))


def write_pipeline(config: PipelineConfig, path: Path) -> None:
    """Write the file that `read_pipeline` reads."""
    write_text(path, to_yaml({"schema": SCHEMA, **to_mapping(config)}))


def to_mapping(config: PipelineConfig) -> dict[str, Any]:
    """Return the settings as the file has them, defaults filled in."""
    plain = _plain({f.name: getattr(config, f.name) for f in fields(config)})
    search = {k: v for k, v in asdict(config.search).items() if k not in _ONCE}
    made = {**plain, "search": _plain(search)}
    if config.netadapt:
        settings, tuning = asdict(config.netadapt.settings), asdict(config.netadapt.tuning)
        made["netadapt"] = _plain({**settings, **tuning, "seed": None})
    return made


def _plain(value: Any) -> Any:
    """Return records as mappings and tuples as lists, without what is None."""
    if hasattr(value, "__dataclass_fields__"):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return list(value) if isinstance(value, tuple) else value


def _text(reader: Reader, data: Mapping[str, Any], key: str) -> str:
    """Return a text; an era or a member of a front may look like a number."""
    return str(data[key]) if type(data[key]) is int and key in _DIGITS else reader.text(data, key)


def _flag(reader: Reader, data: Mapping[str, Any], key: str) -> bool:
    if type(data[key]) is not bool:
        raise reader.bad(data, key, "true or false")
    return bool(data[key])


def _texts(reader: Reader, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return (reader.text(data, key),) if isinstance(data[key], str) else reader.texts(data, key)


_READ: Mapping[Any, Callable[[Reader, Mapping[str, Any], str], Any]] = {
    str: _text,
    int: Reader.whole,
    float: Reader.number,
    bool: _flag,
    tuple[str, ...]: _texts,
    float | None: Reader.number,
    int | None: Reader.whole,
}


def _values(
    reader: Reader, data: Mapping[str, Any], kind: type, *, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the values in `data` of the fields of `kind`, checked by their types."""
    return {
        f.name: _READ[f.type](reader, data, f.name)
        for f in fields(kind)
        if f.name in data and f.name not in without
    }


def _records(
    reader: Reader,
    data: Mapping[str, Any],
    key: str,
    *kinds: type,
    without: tuple[str, ...] = (),
) -> list[Any]:
    """Return a record of each kind from one section, whose keys are the fields of all of them.

    Fields of `without` are no keys.
    """
    section, place = reader.mapping(data, key), f"{reader.path}, {key}"
    known = [f for kind in kinds for f in fields(kind) if f.name not in without]
    required = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    check_keys(section, known=[f.name for f in known], required=required, place=place)
    made = []
    for kind in kinds:
        try:
            made.append(kind(**_values(reader, section, kind, without=without)))
        except BadValue as error:
            path = error.path if error.path and error.path[0] in section else ()
            raise BadFile(f"{locate(section, path, place)}: {error}") from None
        except NasError as error:
            raise BadFile(f"{locate(section, (), place)}: {error}") from None
    return made


def _search(reader: Reader, content: Mapping[str, Any], once: Mapping[str, Any]) -> SearchConfig:
    made: SearchConfig = _records(reader, content, "search", SearchConfig, without=_ONCE)[0]
    return replace(made, **{key: once[key] for key in _ONCE if key in once and key != "data"})


def _train(reader: Reader, content: Mapping[str, Any], once: Mapping[str, Any]) -> Training:
    made: Training = _records(reader, content, "train", Training)[0]
    return made


def _netadapt(reader: Reader, content: Mapping[str, Any], once: Mapping[str, Any]) -> Pruning:
    settings, tuning = _records(
        reader, content, "netadapt", Settings, FineTuning, without=("seed",)
    )
    return Pruning(settings=replace(settings, seed=once.get("seed", 0)), tuning=tuning)


def _scale(reader: Reader, content: Mapping[str, Any], once: Mapping[str, Any]) -> Scaling:
    section, place = reader.mapping(content, "scale"), f"{reader.path}, scale"
    known = [f.name for f in fields(Scaling)]
    check_keys(section, known=known, required=("networks",), place=place)
    wanted, networks = reader.mapping(section, "networks"), {}
    for name in wanted:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            where = locate(wanted, (name,), place)
            raise BadFile(
                f"{where}: a network is named by letters, digits, '_', '.' and '-', and not "
                f"{', '.join(_TAKEN)}: {name!r}"
            )
        (networks[name],) = _records(reader, wanted, name, Growth)
    epochs = _values(reader, section, Scaling, without=("networks",))
    return Scaling(networks=networks, **epochs)


def _export(reader: Reader, content: Mapping[str, Any], once: Mapping[str, Any]) -> Exports:
    made: Exports = _records(reader, content, "export", Exports)[0]
    return made


_Section = Callable[[Reader, Mapping[str, Any], Mapping[str, Any]], Any]
_SECTIONS: Mapping[str, _Section] = dict(
    zip(STAGES, (_search, _train, _netadapt, _scale, _export), strict=True)
)

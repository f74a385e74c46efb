"""The settings of a search, by flags or run.yaml."""

from dataclasses import InitVar, asdict, dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Annotated

from nas.core import data
from nas.core.errors import BadValue, unknown
from nas.core.files import write_text
from nas.core.plugins import Plugin
from nas.core.schema import SCHEMA, Name, OneOf, Reader, Texts, check_keys
from nas.latency.coverage import ON_MISSING
from nas.latency.eras import settings_without_era, table_of_era
from nas.searching.precision import dtypes_of
from nas.searching.task import CLASSIFICATION, check_task
from nas.searching.warm_start import ZOO

_LEAST = {"trials": 1, "batch": 0, "screen": 0, "seed": 0, "workers": 0, "trial_seconds": 0,
          "max_seconds": 0, "max_epochs": 0}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """All settings of a search; every field is a flag of `nas search` and a key of run.yaml.

    `space`, `latency_table`: bundled names or paths. `dtype`: what the networks run in, "fp32",
    "int8", or "fp32,int8" for both on one front; each needs a latency table: two are named with a
    comma, or the other is found by its name (see `nas.searching.precision`). In int8 the accuracy
    is lowered. By default it is what the table says, and the accuracy is that of float. `task`:
    "classification", or "detection" by a `head` on the networks of the space, as in
    "ssdlite:classes=3,resolution=320" (see `nas.space.heads`). `evaluator`, `strategy`, `runner`:
    plugins, as in "surrogate:my.npz"; the default strategy is "archive" where an evaluation is a
    look-up, else "guided". `objective`: as "max:top1"; by default latency and accuracy, or the
    lower bound that the evaluator gives of it. `limit`: as "latency_ms<=80"; with a
    `limit_confidence` of 0.9, the upper ends of 90 % intervals of latency must be that low.
    `reward`: MnasNet's, as in "target=80,below=-0.07,above=-0.07"; it is then the one objective.
    `trials` counts proposals, `batch` those asked for at once (0: the strategy's choice). With
    `screen`, a model of all trials chooses among so many times as many proposals. `seed_arch`:
    architectures to begin with; "zoo" means the bundled ones of the space that satisfy the
    constraints, where an evaluation is a look-up, and "none" no others. `allow_extrapolation`:
    search also where all units lie outside the latency table's range, or most of the latency is
    extrapolated. `on_missing`: "model" the units that a measured table lacks, "measure" them now,
    into its file, or "fail". `data`: what evaluators train on. `workers`: of the runner (0: its
    choice); several, and a cluster, also run other slow evaluators; `deterministic`: results are
    told in the order of asking, so that a seed and as many workers give one front. `ray_address`:
    of the runner "ray"; `gpus_per_trial`: its share of a GPU. A trial that takes more than
    `trial_seconds` fails.
    The search ends early after `max_seconds`, or after training for `max_epochs`, in all that was
    done in its run folder; the last batch may go beyond the epochs. For each of these 0 means no
    limit.
    """

    space: str = "mbconv"
    task: str = CLASSIFICATION
    head: str = ""
    latency_table: str = "pixel1"
    dtype: str = ""
    era: InitVar[str | int] = ""
    evaluator: str = "published"
    objective: Texts = ()
    limit: Texts = ()
    limit_confidence: float = 0.0
    reward: str = ""
    strategy: str = ""
    trials: int = 10_000
    batch: int = 0
    screen: int = 0
    seed: int = 0
    seed_arch: Texts = (ZOO,)
    allow_extrapolation: bool = False
    on_missing: Annotated[str, OneOf(ON_MISSING)] = "model"
    data: str = ""
    runner: str = "local"
    workers: int = 0
    ray_address: str = ""
    gpus_per_trial: float = 0.0
    deterministic: bool = False
    trial_seconds: int = 0
    max_seconds: int = 0
    max_epochs: int = 0

    def __post_init__(self, era: str | int) -> None:
        object.__setattr__(self, "latency_table", table_of_era(self.latency_table, era))
        for name in ("objective", "limit", "seed_arch"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        named = tuple(name for name in self.seed_arch if name != "none")
        object.__setattr__(self, "seed_arch", named)
        check_task(self.task, self.head)
        object.__setattr__(self, "dtype", ",".join(dtypes_of(self.dtype)))
        for name, least in _LEAST.items():
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise BadValue(f"{name} must be a whole number >= {least}", name)
        if not 0 <= self.limit_confidence < 1:
            message = f"limit_confidence must be a number from 0 to 1, not {self.limit_confidence}"
            raise BadValue(message, "limit_confidence")
        share = self.gpus_per_trial
        if type(share) not in (int, float) or not 0 <= share < inf:
            message = f"gpus_per_trial must be a number >= 0, not {share!r}"
            raise BadValue(message, "gpus_per_trial")
        object.__setattr__(self, "gpus_per_trial", float(share))
        if self.on_missing not in ON_MISSING:
            raise unknown("way with missing units", self.on_missing, ON_MISSING)


def read_config(path: Path, *, kept: bool = False) -> SearchConfig:
    """Read a run.yaml; dotted plugins that it names need `plugins.trusted` to be imported.

    If a run folder has `kept` it, former names in it are no cause for a warning.

    Raises:
        BadFile: if it is missing or malformed, or a value is not of its type.
    """
    content = data.read_mapping(path)
    reader, names = Reader(path), [f.name for f in fields(SearchConfig)]
    check_keys(content, known=("schema", "era", *names), required=("schema",), place=str(path))
    era = reader.get(content, "era", Name) if "era" in content else ""
    content = settings_without_era(content) if kept else content
    found = reader.record(content, SearchConfig, more=True)
    return replace(found, era=era) if "era" in content else found


def names_code(config: SearchConfig) -> bool:
    """Return whether `config` names code that needs permission: see `plugins.check_allowed`."""
    texts = (config.evaluator, config.strategy, config.data, config.runner, config.head)
    return config.ray_address not in ("", "auto", "local") or any(
        "." in plugin.name
        or not {"address", "environment"}.isdisjoint(plugin.options)
        or not plugin.options.get("sampler", "optuna.samplers.").startswith("optuna.samplers.")
        for plugin in (Plugin.parse(text) for text in texts if text)
    )


def write_config(config: SearchConfig, path: Path) -> None:
    """Write a run.yaml."""
    content = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    write_text(path, data.to_yaml({"schema": SCHEMA, **content}))

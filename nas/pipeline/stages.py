"""The stages of a pipeline: each works in its own folder, and returns its result."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.core import plugins
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.machine import machine_memory
from nas.core.plugins import Plugin
from nas.core.progress import Report
from nas.core.text import counted
from nas.core.workers.runner import make_runner
from nas.exporting.export import export
from nas.network.blocks import Architecture, to_mapping
from nas.network.checkpoint import ARCH, SUFFIX, find_checkpoint, load_checkpoint, metric_of
from nas.network.cost import cost
from nas.network.lineage import Lineage
from nas.network.zoo import load_architecture
from nas.pipeline.inputs import Inputs, recipe_of, start_of
from nas.pipeline.journal import NetworkRecord, StageResult, all_networks
from nas.pipeline.lineage import CARD, lineage_of, with_card_notes
from nas.pipeline.pictures import draw_front_of, draw_rounds_of
from nas.pipeline.quantized import SUFFIXES, quantize_into, settings_of
from nas.pruning.folder import FINAL
from nas.pruning.job import PruningJob
from nas.pruning.netadapt import check
from nas.pruning.run import Listener, netadapt
from nas.report.table_notes import latency_remarks
from nas.scaling.growth import grown
from nas.searching.loop import search
from nas.searching.runs.folder import ARCHS, find_architecture
from nas.space.space import INT8
from nas.supernet.inherited import inherit_weights
from nas.training.confusion import score_checkpoint
from nas.training.job import Options
from nas.training.recipe_files import find_recipe
from nas.training.recipes import Recipe, adapt
from nas.training.run import complete_training, plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Reports the work: `say` prints a line, `progress` shows the progress of a task in units."""

    say: Callable[[str], None]
    progress: Callable[[str, str], AbstractContextManager[Report]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineState:
    """A pipeline in progress: its inputs, folder, reporter, and finished stages."""

    inputs: Inputs
    out: Path
    reporter: Reporter
    results: Mapping[str, StageResult]

    @property
    def networks(self) -> tuple[NetworkRecord, ...]:
        """All networks so far, in the order of the stages."""
        return all_networks(self.results)

    @property
    def final(self) -> tuple[NetworkRecord, ...]:
        """The pruned network, or else the trained one, and the scaled ones."""
        scaled = (network for network in self.networks if network.part == "scaled")
        return (self.last("trained", "pruned"), *scaled)

    def last(self, *parts: str) -> NetworkRecord:
        """Return the last network whose part is one of `parts`."""
        return [network for network in self.networks if network.part in parts][-1]


def search_stage(state: PipelineState) -> StageResult:
    """Search the space, and choose the solution that is trained."""
    out, config = state.out / "search", state.inputs.config
    with state.reporter.progress("searching", "candidates") as update:
        run = search(config.search, out=out, progress=update)
    if not run.finished:
        raise KeyboardInterrupt  # the search has handled it
    name = find_architecture(f"{out}:{config.train.arch}").name
    solution = next(one for one in run.solutions if one.name == name)
    path = out / ARCHS / f"{name}.yaml"
    start = _start(state, path)
    if config.netadapt:
        check(start, state.inputs.table, config.netadapt.settings)
    scores = {_SHORT.get(run.setup.accuracy, run.setup.accuracy): float(solution.accuracy or 0.0)}
    found = _network(state, start, "found", path, scores)
    state.reporter.say(
        f"{len(run.solutions)} on the front of {len(run.trials)}; {name} is trained next"
    )
    return StageResult(networks=(found,), notes=_notes(run.setup.note, *draw_front_of(run, out)))


def train_stage(state: PipelineState) -> StageResult:
    """Train the chosen candidate."""
    start = _start(state, state.out / state.last("found").path)
    lineage = lineage_of(str(state.out / "search"))
    out = state.out / "train"
    trained = _trained(state, start, "trained", out, state.inputs.recipe, lineage)
    return StageResult(networks=(trained,))


def netadapt_stage(state: PipelineState) -> StageResult:
    """Prune the trained network."""
    inputs, part, out = state.inputs, state.inputs.config.netadapt, state.out / "netadapt"
    assert part is not None
    assert inputs.tuning is not None  # set whenever this stage runs
    job = PruningJob(
        start=load_checkpoint(str(state.out / state.last("trained").path)),
        data=inputs.data,
        table=inputs.table,
        settings=part.settings,
        recipe=inputs.tuning,
        device=inputs.config.device,
        lineage=lineage_of(str(state.out / "train")),
    )
    with (
        closing(make_runner(part.tuning.runner, workers=part.tuning.workers)) as runner,
        state.reporter.progress("fine-tuning", "done") as update,
    ):
        result = netadapt(job, out, runner=runner, listener=Listener(update=update))
    metric = metric_of(result.best_arch)
    scores = _scores(result.best.top1, result.best.test, metric=metric)
    path = out / f"{FINAL}{SUFFIX}"
    pruned = _network(state, result.best_arch, "pruned", path, scores)
    state.reporter.say(f"pruned in {len(result.rounds)} rounds")
    pictures = draw_rounds_of(result, inputs.table, out)
    return StageResult(networks=(pruned,), notes=_notes(result.note, *pictures))


def scale_stage(state: PipelineState) -> StageResult:
    """Scale the network, and train the results if epochs are given."""
    config = state.inputs.config
    assert config.scale is not None
    origin = state.last("trained", "pruned")
    lineage = lineage_of(str(state.out / origin.path), trained=False)
    base = replace(load_checkpoint(str(state.out / origin.path)).arch, name=origin.name)
    made = []
    for name, growth in config.scale.networks.items():
        arch = replace(grown(base, growth, limit=machine_memory()), name=name)
        out = state.out / "scale" / name
        if config.scale.epochs:
            recipe = recipe_of(config.train, epochs=config.scale.epochs)
            sentences = (*lineage.sentences, f"Scaled from {origin.name}, as {name}.")
            scaled = replace(lineage, sentences=sentences)
            made.append(_trained(state, arch, "scaled", out, recipe, scaled))
        else:
            write_text(out / ARCH, to_yaml(to_mapping(arch)))
            made.append(_network(state, arch, "scaled", out / ARCH, {}))
    return StageResult(networks=tuple(made))


def quantize_stage(state: PipelineState) -> StageResult:
    """Quantize the final networks that have weights, after training with quantization if wanted."""
    ends = [one for one in state.final if find_checkpoint(str(state.out / one.path))]
    made = [_quantized(state, network) for network in ends]
    return StageResult(
        networks=tuple(network for network, _, _ in made),
        files=tuple(file for _, file, _ in made),
        notes=_notes(*(note for _, _, note in made)),
    )


_InInt8 = tuple[NetworkRecord, Mapping[str, Any], str]
"""The record of a network in int8, its file, and a note if some of it is not."""


def _quantized(state: PipelineState, network: NetworkRecord) -> _InInt8:
    """Quantize a network; predictions of its latency hold if they are for int8."""
    how, inputs = state.inputs.config.quantize, state.inputs
    assert how is not None
    source, name = str(state.out / network.path), f"{network.name}-int8"
    if how.epochs:
        source = str(_rounded(state, network, source))
    path = state.out / "quantize" / f"{name}{SUFFIXES[how.backend]}"
    with state.reporter.progress(f"quantizing {network.name}", "steps") as update:
        made = quantize_into(
            source, inputs.data, path,
            settings=settings_of(how, inputs.config.seed), backend=how.backend, report=update,
        )  # fmt: skip
    state.reporter.say(f"{network.name} {made.text}")
    record = replace(
        network,
        part="quantized",
        name=name,
        path=str(Path(source).relative_to(state.out)),
        scores=_scores(made.after, made.test, metric=made.metric),
        remarks=network.remarks if inputs.table.precision == INT8 else (),
    )
    form = f"{path.suffix[1:]}, int8"
    place = str(path.relative_to(state.out))
    file = {"network": name, "format": form, "path": place, "bytes": path.stat().st_size}
    return record, file, f"{name}: {made.kept}; its latencies are of all in int8" * bool(made.kept)


def _rounded(state: PipelineState, network: NetworkRecord, source: str) -> Path:
    """Train a network with quantization, in a folder of its own; return that."""
    inputs, config, found = state.inputs, state.inputs.config, load_checkpoint(source)
    assert config.quantize is not None
    out = state.out / "quantize" / network.name
    recipe = adapt(find_recipe(config.quantize.recipe), epochs=config.quantize.epochs)
    options = Options(
        device=config.device,
        weights=found.weights,
        normalisation=found.normalisation,
        quantize=True,
        lineage=lineage_of(source),
    )
    with state.reporter.progress(f"training {network.name} with quantization", "images") as update:
        options = replace(options, report=update)
        job = plan(found.arch, inputs.data, recipe, seed=config.seed, options=options)
        trained = complete_training(job, out)
    state.reporter.say(f"{network.name}: {trained.metric} {trained.value:.4f} trained in int8")
    return out


def export_stage(state: PipelineState) -> StageResult:
    """Export the pruned network, or else the trained one, and the scaled ones."""
    config = state.inputs.config
    assert config.export is not None
    ends = state.final
    files = [_exported(state, network, form) for network in ends for form in config.export.format]
    state.reporter.say(f"wrote {len(files)} files")
    return StageResult(files=tuple(files))


_SHORT = {"map": "map_proxy"}
"""The names of a search's metrics where those after full training are shown too."""
STAGE_FUNCTIONS: Mapping[str, Callable[[PipelineState], StageResult]] = {
    "search": search_stage,
    "train": train_stage,
    "netadapt": netadapt_stage,
    "scale": scale_stage,
    "quantize": quantize_stage,
    "export": export_stage,
}
"""The work of each stage; see `nas.pipeline.config.STAGES`."""


def _start(state: PipelineState, path: Path) -> Architecture:
    """Return the network in a solution's file as the pipeline trains it, named after the space."""
    name = f"{Path(state.inputs.config.search.space).stem}-{path.stem}"
    return start_of(state.inputs, replace(load_architecture(path), name=name))


def _network(
    state: PipelineState, arch: Architecture, part: str, path: Path, scores: Mapping[str, float]
) -> NetworkRecord:
    """Return the record of a network; only scaled ones have their own names."""
    latency, counted = state.inputs.table.predict(arch), cost(arch)
    return NetworkRecord(
        part=part,
        name=arch.name if part == "scaled" else part,
        path=str(path.relative_to(state.out)),
        fingerprint=arch.fingerprint,
        resolution=arch.resolution,
        latency_ms=latency.ms,
        latency_low_ms=latency.low_ms,
        latency_high_ms=latency.high_ms,
        macs=counted.macs,
        params=counted.params,
        scores=scores,
        remarks=latency_remarks(latency),
    )


def _trained(
    state: PipelineState,
    arch: Architecture,
    part: str,
    out: Path,
    recipe: Recipe,
    lineage: Lineage,
) -> NetworkRecord:
    """Train a network in its own folder."""
    config, data = state.inputs.config, state.inputs.data
    arch, options = _with_initial_weights(state, arch)
    with state.reporter.progress(f"training {arch.name}", "images") as update:
        options = replace(options, report=update, lineage=lineage)
        trained = complete_training(
            plan(arch, data, recipe, seed=config.seed, options=options), out
        )
    has_test = data.test is not None and len(data.test)
    test = (
        score_checkpoint(str(out), data, split="test", device=config.device) if has_test else None
    )
    after = counted(trained.epochs, "epoch")
    state.reporter.say(f"{arch.name}: {trained.metric} {trained.value:.4f} after {after}")
    scores = _scores(trained.value, test.value if test else None, metric=trained.metric)
    return _network(state, trained.arch, part, out, scores)


def _with_initial_weights(state: PipelineState, arch: Architecture) -> tuple[Architecture, Options]:
    """Return a network and the options of its training, with initial weights if any."""
    inputs, config = state.inputs, state.inputs.config
    options = Options(device=config.device, teacher=config.train.teacher)
    if inputs.relative is None:
        return arch, options
    begun = inherit_weights(inputs.relative, arch, inputs.data, seed=config.seed)
    state.reporter.say(
        f"{arch.name}: begins with weights of {config.train.weights} for {begun.share:.0%} of its "
        "parameters"
    )
    return begun.arch, replace(options, weights=begun.weights, normalisation=begun.normalisation)


def _scores(value: float | None, test: float | None, *, metric: str) -> dict[str, float]:
    return {k: v for k, v in ((metric, value), ("test", test)) if v is not None}


def _exported(state: PipelineState, network: NetworkRecord, form: str) -> Mapping[str, Any]:
    """Export one network in one format, with its weights if there are any."""
    path = str(state.out / network.path)
    trained = load_checkpoint(path) if find_checkpoint(path) else None
    arch = replace(trained.arch if trained else load_architecture(path), name=network.name)
    plugin = Plugin.parse(form)
    if trained and plugin.name == CARD:
        trained = with_card_notes(trained, f"{state.out}:{network.name}")
    suffix = plugins.create("exporters", plugin).suffix
    target = state.out / "export" / f"{network.name}{suffix}"
    export(arch, target, form=form, trained=trained)
    return {
        "network": network.name,
        "format": form,
        "path": str(target.relative_to(state.out)),
        "bytes": sum(
            path.stat().st_size for path in (target, *target.rglob("*")) if path.is_file()
        ),
    }


def _notes(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)

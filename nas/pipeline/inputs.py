"""Load all inputs of a pipeline, and check that they fit together, before any work."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from nas.core import plugins
from nas.core.errors import NasError, missing_package
from nas.core.machine import machine_memory
from nas.core.plugins import Plugin
from nas.latency.file import file_fingerprint
from nas.latency.table import LatencyTable
from nas.network.blocks import Architecture
from nas.network.multipliers import scale_resolution
from nas.network.weights import fingerprint
from nas.pipeline.config import PipelineConfig, Training
from nas.pipeline.journal import WEIGHTS
from nas.pruning.netadapt import cuts_of
from nas.pruning.proposals import check_covered, latency_meter
from nas.scaling.growth import grown
from nas.searching.constraints import check_constraints
from nas.searching.problem import Problem
from nas.searching.setup import Setup, prepare
from nas.supernet.inherited import Relative, find_relative, inherit_weights
from nas.training.data import Data, load_data
from nas.training.distill import load_teacher
from nas.training.evaluate import pick_device
from nas.training.recipe_files import find_recipe
from nas.training.recipes import Recipe, adapt
from nas.training.run import fit_recipe, fit_to_data


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """The inputs of a pipeline; `tuning` is the recipe of NetAdapt's fine-tuning.

    `relative` is the network whose weights trainings inherit. `fingerprints` are those of data,
    space, table and the weights of `relative`, which the settings only name.
    """

    config: PipelineConfig
    table: LatencyTable
    data: Data
    recipe: Recipe
    tuning: Recipe | None
    relative: Relative | None
    fingerprints: Mapping[str, str]


def load_inputs(config: PipelineConfig) -> Inputs:
    """Load the inputs that `config` names, and check that they fit together; write nothing.

    Checks that depend on the result of the search use a random network of the space.

    Raises:
        NasError: if something is unknown, missing, or does not fit.
    """
    setup = prepare(config.search)
    check_constraints(setup.problem, seed=config.seed)
    loaded = load_data(config.data)
    relative = find_relative(config.train.weights) if config.train.weights else None
    made = Inputs(
        config=config,
        table=setup.table,
        data=loaded,
        recipe=fit_recipe(recipe_of(config.train), loaded, from_scratch=relative is None),
        tuning=_tuning(config),
        relative=relative,
        fingerprints={
            "data": loaded.fingerprint,
            "space": setup.space.fingerprint,
            "table": file_fingerprint(setup.table),
            **({WEIGHTS: fingerprint(relative.weights)} if relative else {}),
        },
    )
    pick_device(config.device)
    example = _random(setup)
    if config.train.teacher:
        load_teacher(config.train.teacher, loaded, example)
    _check_network(made, example)
    _check_target(config, setup.problem)
    _check_plugins(config)
    return made


def recipe_of(training: Training, *, epochs: int = 0) -> Recipe:
    """Return the recipe of a training, for `epochs` unless that is 0."""
    return adapt(
        find_recipe(training.recipe),
        epochs=epochs or training.epochs,
        batch=training.batch,
        accumulate=training.accumulate if training.accumulate > 1 else 0,
        lr=training.lr,
    )


def start_of(inputs: Inputs, arch: Architecture) -> Architecture:
    """Return `arch` as the pipeline trains it: at its resolution, with the data's classes."""
    pixels = inputs.config.train.resolution
    recipes = (fit_recipe(one, inputs.data) for one in (inputs.recipe, inputs.tuning) if one)
    batch = min(one.batch for one in recipes)
    return fit_to_data(scale_resolution(arch, pixels) if pixels else arch, inputs.data, batch=batch)


def _tuning(config: PipelineConfig) -> Recipe | None:
    if config.netadapt is None:
        return None
    tuning = config.netadapt.tuning
    return adapt(find_recipe(tuning.recipe), batch=tuning.batch, lr=tuning.lr)


def _random(setup: Setup) -> Architecture:
    rows = setup.space.sample_matrix(np.random.default_rng(0), 1)
    return setup.problem.decode(rows)[0]


def _check_network(inputs: Inputs, arch: Architecture) -> None:
    """Reject settings that do not fit a network of the space."""
    config, network = inputs.config, start_of(inputs, arch)
    if inputs.relative:
        inherit_weights(inputs.relative, network, inputs.data, seed=config.seed)
    check_covered(inputs.table, network)
    if config.netadapt:
        latency_meter(inputs.table)
        cuts_of(network, config.netadapt.settings).groups(network)
    for growth in config.scale.networks.values() if config.scale else ():
        grown(network, growth, limit=machine_memory())


def _check_target(config: PipelineConfig, problem: Problem) -> None:
    """Reject a target for NetAdapt that the search's latency constraint already ensures."""
    if config.netadapt is None:
        return
    target = config.netadapt.settings.target_ms
    for limit in problem.limits:
        if limit.metric == "latency_ms" and limit.at_most and limit.value <= target:
            raise NasError(
                f"netadapt's target_ms of {target:g} is not below the search's limit {limit}: "
                "there would be nothing to prune; lower the target, or leave netadapt out"
            )


def _check_plugins(config: PipelineConfig) -> None:
    """Reject exporters, runners and devices that cannot be loaded."""
    plugins.create("devices", Plugin.parse(config.measure_device))
    for form in config.export.format if config.export else ():
        plugins.create("exporters", Plugin.parse(form))
    if config.quantize:
        find_recipe(config.quantize.recipe)
        _check_runtime(config.quantize.backend)
    if config.netadapt:
        plugins.load("runners", Plugin.parse(config.netadapt.tuning.runner).name)


def _check_runtime(backend: str) -> None:
    """Reject a runtime of the final graphs in int8 that is not installed."""
    try:
        import_module("nas.training.int8.litert" if backend == "litert" else "onnxruntime")
    except ModuleNotFoundError as error:
        raise missing_package(error, wanted_by=f"`backend={backend}`") from None

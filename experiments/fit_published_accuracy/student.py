"""A small network distilled from the process, and the networks that it is trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.fit_published_accuracy.process import Prediction
from nas.accuracy.distill import distill
from nas.accuracy.feature_model import FeatureHeader, FeatureModel
from nas.accuracy.features import NAMES, Floats, features
from nas.accuracy.picks import PicksFeatures
from nas.core.errors import NasError
from nas.network.blocks import Architecture, Block
from nas.network.multipliers import Multipliers, round_channels, scale
from nas.space.file import load_space
from nas.space.sampling import corner_rows, offspring
from nas.space.space import Matrix, Space

SPACE, OTHERS = "mbconv", ("mnasnet_b0", "mobilenetv3", "mnasnet")

HIDDEN, STEPS, BATCH = (40, 32), 14_000, 512
SPREAD_HIDDEN, SPREAD_STEPS = (24,), 6_000
ROWS, VARIED, OF_OTHERS = 10_000, 6_000, 2_000

BINS, KEPT, GENERATIONS, OFFSPRING = 40, 80, 50, 2_000
NEAR = 6_000
MIN_MACS, MAX_MACS = 2e7, 2e9

Teacher = Callable[[Floats], Prediction]
"""From features to logits of top-1 by the reference recipe."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Features of networks, and their predictions by the process."""

    features: Floats
    labels: Prediction

    def __add__(self, other: "TrainingSet") -> "TrainingSet":
        """Return both."""
        pairs = zip((self.features, *_parts(self)), (other.features, *_parts(other)), strict=True)
        found, mean, deviation = (np.concatenate(pair) for pair in pairs)
        return TrainingSet(found, Prediction(mean, deviation, self.labels.family))


def _parts(examples: TrainingSet) -> tuple[Floats, Floats]:
    return examples.labels.mean, examples.labels.deviation


def label(teacher: Teacher, found: Floats) -> TrainingSet:
    """Return the features `found` with the predictions of `teacher`."""
    return TrainingSet(found, teacher(found))


def general_features(archs: Sequence[Architecture], rng: np.random.Generator) -> Floats:
    """Return features of varied networks: of the space, of others, published ones and near them.

    Those of the space are drawn uniformly, biased towards corners, and as mixtures of the zoo's.
    """
    space = load_space(SPACE)
    described = PicksFeatures(space)
    known = anchors(space)
    rows = (
        space.sample_matrix(rng, ROWS),
        corner_rows(space, rng, ROWS),
        offspring(space, known, rng, ROWS),
    )
    parts = [described(matrix) for matrix in rows]
    for name in OTHERS:
        other = load_space(name)
        parts.append(PicksFeatures(other)(corner_rows(other, rng, OF_OTHERS)))
    parts.append(features(archs))
    chosen = rng.integers(0, len(archs), VARIED)
    parts.append(features([varied(archs[i], rng) for i in chosen]))
    return np.concatenate(parts)


def anchors(space: Space) -> Matrix:
    """Return the networks of the zoo that are in the space."""
    from nas.network.zoo import load_architecture

    names = ("efficientnet_b0", "mnasnet_a1", "mnasnet_b1", "mobilenet_v2")
    picks = [space.encode(load_architecture(name)) for name in names]
    return np.stack([space.pack(each) for each in picks])


def varied(arch: Architecture, rng: np.random.Generator) -> Architecture:
    """Return a network near `arch`: scaled, and with some hidden channels cut, as by pruning."""
    width, depth, resolution = np.exp(rng.normal(0, (0.25, 0.15, 0.15)))
    try:
        found = scale(arch, Multipliers(width=width, depth=depth, resolution=resolution))
    except NasError:
        found = arch
    cut = rng.uniform(0.4, 1) if rng.random() < 0.5 else 1.0
    stages = tuple(tuple(_cut(block, cut, rng) for block in stage) for stage in found.stages)
    return replace(found, stages=stages)


def _cut(block: Block, least: float, rng: np.random.Generator) -> Block:
    if block.kind != "mbconv" or block.hidden_channels == block.in_channels:
        return block
    hidden = round_channels(block.hidden_channels * rng.uniform(least, 1))
    return replace(block, hidden_channels=hidden)


def front_rows(model: FeatureModel, rng: np.random.Generator) -> Matrix:
    """Return rows near the front of mean minus deviation against multiply-adds, by evolution."""
    space = load_space(SPACE)
    described, size = PicksFeatures(space), NAMES.index("g_macs")
    edges = np.linspace(np.log(MIN_MACS), np.log(MAX_MACS), BINS + 1)
    rows = np.concatenate([anchors(space), corner_rows(space, rng, OFFSPRING)])
    for generation in range(GENERATIONS):
        found = described(rows)
        accuracy = model.predict_features(found, family=False)
        score = accuracy.accuracy - accuracy.deviation
        places = np.digitize(found[:, size], edges)
        order = np.lexsort((-score, places))
        _, starts, counts = np.unique(places[order], return_index=True, return_counts=True)
        best = [order[a : a + min(n, KEPT)] for a, n in zip(starts, counts, strict=True)]
        rows = rows[np.concatenate(best)]
        if generation + 1 < GENERATIONS:
            rows = np.unique(np.concatenate([rows, _offspring(space, rows, rng)]), axis=0)
    return rows


def near_front(model: FeatureModel, rng: np.random.Generator) -> Floats:
    """Return the features of networks on that front, and of their offspring."""
    space, rows = load_space(SPACE), front_rows(model, rng)
    broods = [_offspring(space, rows, rng) for _ in range(NEAR // OFFSPRING)]
    return PicksFeatures(space)(np.concatenate([rows, *broods]))


def _offspring(space: Space, rows: Matrix, rng: np.random.Generator) -> Matrix:
    """Return offspring of two rows each, with a few mutations."""
    one, other = rows[rng.integers(0, len(rows), (2, OFFSPRING))]
    mixed = np.where(
        rng.random((OFFSPRING, 1)) < 0.5, one, np.where(rng.random(one.shape) < 0.5, one, other)
    )
    changed = rng.random(one.shape) < rng.integers(1, 5, (OFFSPRING, 1)) / one.shape[1]
    return space.canonical(np.where(changed, space.sample_matrix(rng, OFFSPRING), mixed))


def fit_student(examples: TrainingSet, header: FeatureHeader, *, seed: int = 0) -> FeatureModel:
    """Return the model fitted to `examples`."""
    found = examples.features
    mean, unit = found.mean(axis=0), np.maximum(found.std(axis=0), 1e-3)
    inputs = (found - mean.astype(np.float32)) / unit.astype(np.float32)
    aim = examples.labels.mean
    gram = inputs.T @ inputs + 1e-3 * len(inputs) * np.eye(len(NAMES))
    linear = np.linalg.solve(gram, inputs.T @ (aim - aim.mean())).astype(np.float32)
    single = inputs.astype(np.float32)
    rest = distill(
        single, aim - inputs @ linear, hidden=HIDDEN, steps=STEPS, batch=BATCH, seed=seed
    )
    spread = distill(
        single,
        np.log(examples.labels.deviation),
        hidden=SPREAD_HIDDEN,
        steps=SPREAD_STEPS,
        batch=BATCH,
        seed=seed,
    )
    return FeatureModel(
        header=replace(header, features=NAMES, family=examples.labels.family),
        mean=mean.astype(np.float32),
        unit=unit.astype(np.float32),
        low=found.min(axis=0).astype(np.float32),
        high=found.max(axis=0).astype(np.float32),
        linear=linear,
        network=rest,
        spread=spread,
    )

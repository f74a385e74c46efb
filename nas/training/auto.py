"""The recipe `auto`: what it leaves open follows the number of images and of steps."""

from collections.abc import Mapping
from dataclasses import replace

from nas.training.box_augment import BoxAugment
from nas.training.recipes import Recipe, auto

_AUTO = auto()
_BATCHES, _STEPS = (64, 128, 256), 3000
"""A larger batch is taken where it leaves so many steps."""
_USUAL_STEPS, _SGD_USUAL_STEPS = 1500, 3750
_MIN_FACTOR, _MAX_FACTOR = 0.5, 1.25
"""Fewer steps than the usual want a higher rate, more a lower one, within these factors. That of
SGD is the highest up to 2,400 steps."""
_AUGMENTED: Mapping[int, tuple[float, float]] = {
    1: (1.0, 0.0),
    10: (0.8, 0.0),
    20: (0.7, 0.0),
    30: (0.6, 0.0),
    60: (0.4, 0.2),
}
"""`crop` and `mixup` by how often each image is seen, at least."""
_EPSILON, _FEW_STEPS = 1e-3, 150
"""Of AdamW: weights with gradients far below it, which are mostly noise, move less than others. In
fewer steps than these it is the usual one, by which all move at once."""
_SGD_STEPS, _SGD_RATE, _SGD_DECAY, _SGD_WARMUP = 600, 0.2, 5e-4, 0.3
"""SGD is taken from so many steps on, with this rate, weight decay and share of warm-up."""
_OF_ADAMW = ("optimizer", "lr", "epsilon")
"""With one of these given, or the weight decay, the optimizer is not chosen."""
_BOX_BATCHES, _BOX_STEPS = (8, 16, 32, 64), 1000
_BOX_RATE, _BOX_BATCH = 4e-3, 16
_VARIED: Mapping[int, BoxAugment] = {
    1: BoxAugment(flip=True),
    15: BoxAugment(flip=True, zoom=(0.75, 1.5), colour=0.2),
    60: BoxAugment(flip=True, zoom=(0.5, 1.5), iou_crop=0.3, mosaic=0.3, colour=0.3),
}
"""How images with boxes vary, by how often each is seen, at least."""


def resolve_auto(
    recipe: Recipe,
    *,
    images: int,
    task: str = "classification",
    from_scratch: bool = False,
) -> Recipe:
    """Return `recipe` with the fields of its `auto` set for a training on so many `images`.

    The batch is 64 in short trainings and up to 256 in long ones; of a detector 8 and up to 64. The
    rate follows its square root, and falls with the square root of the number of steps, that of SGD
    from 2,400 steps on. How much images vary follows how often each is seen. Classifiers that begin
    `from_scratch` train by SGD from 600 steps on, with a warm-up of 30 %; all others by AdamW,
    whose epsilon is 1e-3 but in very short trainings and those of detectors.
    """
    if not recipe.auto:
        return recipe
    boxed = task == "detection"
    batches, enough = (_BOX_BATCHES, _BOX_STEPS) if boxed else (_BATCHES, _STEPS)
    highest, usual = (_BOX_RATE, _BOX_BATCH) if boxed else (_AUTO.lr, _AUTO.batch)
    usual_steps = _USUAL_STEPS
    seen = images * recipe.epochs
    batch = max((b for b in batches if b * enough <= seen), default=batches[0])
    recipe = replace(recipe, batch=batch) if "batch" in recipe.auto else recipe
    steps = seen // recipe.images_a_step
    chosen = from_scratch and steps >= _SGD_STEPS and _is_open(recipe)
    if not boxed and (chosen or recipe.optimizer == "sgd"):
        recipe, highest, usual_steps = _by_sgd(recipe), _SGD_RATE, _SGD_USUAL_STEPS
    elif not boxed and "epsilon" in recipe.auto and steps >= _FEW_STEPS:
        recipe = replace(recipe, epsilon=_EPSILON)
    factor = (usual_steps * recipe.images_a_step / seen) ** 0.5
    factor = min(max(factor, _MIN_FACTOR), _MAX_FACTOR)
    rate = highest * factor * (recipe.images_a_step / usual) ** 0.5
    recipe = replace(recipe, lr=rate) if "lr" in recipe.auto else recipe
    return _varied_boxes(recipe) if boxed else _varied(recipe)


def by_one_optimizer(recipe: Recipe) -> Recipe:
    """Return `recipe` with an optimizer that is not chosen, as where weights are given."""
    return replace(recipe, auto=tuple(name for name in recipe.auto if name != "optimizer"))


def _is_open(recipe: Recipe) -> bool:
    """Return whether nothing was given that belongs to AdamW."""
    return set(_OF_ADAMW) <= set(recipe.auto) and recipe.weight_decay == _AUTO.weight_decay


def _by_sgd(recipe: Recipe) -> Recipe:
    """Return `recipe` by SGD; a weight decay and a warm-up that are not those of `auto` stay."""
    recipe = replace(recipe, optimizer="sgd")
    if recipe.weight_decay == _AUTO.weight_decay:
        recipe = replace(recipe, weight_decay=_SGD_DECAY)
    if recipe.warmup in (_AUTO.warmup, min(_AUTO.warmup, recipe.epochs / 10)):
        recipe = replace(recipe, warmup=_SGD_WARMUP * recipe.epochs)
    return recipe


def _varied_boxes(recipe: Recipe) -> Recipe:
    """Return `recipe` for a detector, whose images vary if `crop` is open."""
    varied = _VARIED[max(least for least in _VARIED if least <= recipe.epochs)]
    varied = replace(varied, flip=recipe.augment.flip)
    is_open = "crop" in recipe.auto and recipe.boxes == BoxAugment()
    return replace(recipe, boxes=varied if is_open else recipe.boxes, auto=())


def _varied(recipe: Recipe) -> Recipe:
    crop, mixup = _AUGMENTED[max(least for least in _AUGMENTED if least <= recipe.epochs)]
    augment = recipe.augment
    return replace(
        recipe,
        augment=replace(
            augment,
            crop=crop if "crop" in recipe.auto else augment.crop,
            mixup=mixup if "mixup" in recipe.auto else augment.mixup,
        ),
        auto=(),
    )

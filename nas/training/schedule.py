"""The learning rate at every step of a training, and the decay of averages."""

from math import cos, floor, pi

from nas.training.recipes import Recipe


def learning_rate(recipe: Recipe, *, step: int, steps_an_epoch: int) -> float:
    """Return the rate for step number `step`, from 0, of a training of `recipe.epochs` epochs.

    The warm-up rises in equal parts and its last step has the full rate; a staircase counts its
    epochs from the beginning of the training, a cosine from the end of the warm-up.
    """
    warm_steps = round(recipe.warmup * steps_an_epoch)
    if step < warm_steps:
        return recipe.lr * (step + 1) / warm_steps
    if recipe.decay == "exponential":
        epoch = step / steps_an_epoch
        return float(recipe.lr * recipe.decay_rate ** floor(epoch / recipe.decay_every))
    rest = recipe.epochs * steps_an_epoch - warm_steps
    return recipe.lr * (1 + cos(pi * (step - warm_steps) / rest)) / 2


def warm_decay(decay: float, step: int) -> float:
    """Return the decay of an average after `step` updates: `decay`, less in the beginning.

    As in TensorFlow's averages, it is (1 + step) / (10 + step) at first, so that the average covers
    a tenth of the training, and its beginning has no weight in a short one.
    """
    return min(decay, (1 + step) / (10 + step))

"""Recipes: how networks are trained, from the papers, adapted to a batch size and a length."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nas.core.data import as_json
from nas.core.errors import BadValue, unknown
from nas.training.augment import Augment
from nas.training.box_augment import BoxAugment

OPTIMIZERS = ("rmsprop", "adamw", "sgd")
DECAYS = ("exponential", "cosine")

_POSITIVE = ("lr", "batch", "epochs", "accumulate", "decay_every", "temperature")
_RATES = ("weight_decay", "ema", "label_smoothing", "distillation", "warmup", "clip", "epsilon")
_BELOW_ONE = ("ema", "label_smoothing")

FOLLOWING = ("batch", "lr", "crop", "mixup", "epsilon", "optimizer")
"""Fields that a recipe may leave open until it is known on how many images it trains."""
_LONG, _MIN_LONG_STEPS = ("efficientnet", "mobilenetv3", "adamw"), 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train, apart from the architecture and the data.

    A step takes `batch` images `accumulate` times and changes the weights once. `lr` is the
    highest learning rate; it is reached after `warmup` epochs, and then decays: "exponential" by
    `decay_rate` every `decay_every` epochs, as a staircase, or as a half "cosine" to 0 at the end.

    `weight_decay` spares norms, biases and depthwise filters. `ema` is the decay of the average of
    the weights, which is validated, kept and exported; 0 for none. `clip` bounds the norm of the
    gradient; 0 for no bound. `epsilon` is what AdamW and RMSprop add to the root of the squares; 0
    for its usual one. With a teacher, `distillation` is its share of the loss, at `temperature`.
    `auto` names fields, also of `augment`, that are set when it is known on how many images the
    recipe trains (`nas.training.auto`). A detector trains with `boxes` instead of `augment`,
    without `label_smoothing`. Recipes are equal that differ in nothing but their names.
    """

    name: str = field(compare=False)
    optimizer: str
    lr: float
    batch: int = 256
    accumulate: int = 1
    epochs: int = 100
    warmup: float = 5.0
    decay: str = "cosine"
    decay_rate: float = 0.97
    decay_every: float = 2.4
    weight_decay: float = 1e-5
    ema: float = 0.9999
    label_smoothing: float = 0.1
    clip: float = 0.0
    epsilon: float = 0.0
    distillation: float = 0.5
    temperature: float = 2.0
    augment: Augment = field(default_factory=Augment)
    boxes: BoxAugment = field(default_factory=BoxAugment)
    auto: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("decay", DECAYS)):
            if getattr(self, name) not in known:
                raise BadValue(str(unknown(name, getattr(self, name), known)), name)
        for name in ("batch", "epochs", "accumulate"):
            if type(getattr(self, name)) is not int:
                raise BadValue(f"{name} must be a whole number >= 1", name)
        for name in (*_POSITIVE, *_RATES):
            value = getattr(self, name)
            if not (value > 0 if name in _POSITIVE else value >= 0) or value == float("inf"):
                least = "above 0" if name in _POSITIVE else ">= 0"
                raise BadValue(f"{name} must be a number {least}, not {value!r}", name)
        for name in (*_BELOW_ONE, "distillation"):
            value = getattr(self, name)
            if value > 1 or (value == 1 and name in _BELOW_ONE):
                raise BadValue(f"{name} must lie below 1, not at {value!r}", name)
        if other := next((name for name in self.auto if name not in FOLLOWING), ""):
            raise BadValue(str(unknown("field", other, FOLLOWING)), "auto")

    @property
    def images_a_step(self) -> int:
        """Images for one change of the weights."""
        return self.batch * self.accumulate


def efficientnet() -> Recipe:
    """Return EfficientNet's recipe (Tan & Le, 2019, section 5.2).

    RMSprop with decay and momentum 0.9, a rate of 0.256 at 4,096 images (0.016 at 256), times 0.97
    every 2.4 epochs, weight decay 1e-5; five epochs of warm-up, an average with 0.9999 and label
    smoothing of 0.1 as in the code published with it, which follows MnasNet's (Tan et al., 2019).
    RandAugment (Cubuk et al., 2020) stands for AutoAugment.
    """
    return Recipe(
        name="efficientnet",
        optimizer="rmsprop",
        lr=0.016,
        epochs=350,
        decay="exponential",
        augment=Augment(flip=True, crop=0.08, randaugment=(2, 9)),
    )


def mobilenetv3() -> Recipe:
    """Return MobileNetV3's recipe (Howard et al., 2019, section 6.1.1).

    RMSprop with momentum 0.9, a rate of 0.1 at 4,096 images (0.00625 at 256), 1 % less every 3
    epochs, weight decay 1e-5, an average with 0.9999, and Inception's preprocessing: random crops,
    flips and label smoothing (Szegedy et al., 2016). The paper names neither a warm-up nor a
    length; 600 epochs are those of torchvision's reproduction.
    """
    return Recipe(
        name="mobilenetv3",
        optimizer="rmsprop",
        lr=0.00625,
        epochs=600,
        warmup=0.0,
        decay="exponential",
        decay_rate=0.99,
        decay_every=3.0,
        augment=Augment(flip=True, crop=0.08),
    )


def adamw() -> Recipe:
    """Return a modern recipe for networks of this size.

    AdamW (Loshchilov & Hutter, 2019) with the cosine of SGDR (2017); warm-up, weight decay,
    RandAugment, random erasing (Zhong et al., 2020) at 0.25 and label smoothing as in DeiT
    (Touvron et al., 2021); crops and mixup (Zhang et al., 2018) as mild as small networks, and data
    smaller than ImageNet, want them.
    """
    return Recipe(
        name="adamw",
        optimizer="adamw",
        lr=2e-3,
        epochs=300,
        weight_decay=0.05,
        clip=5.0,
        augment=Augment(flip=True, crop=0.25, randaugment=(2, 9), erasing=0.25, mixup=0.2),
    )


def quick() -> Recipe:
    """Return a recipe for short trainings on small data, where only the ranking counts.

    AdamW, a short warm-up and a cosine over the whole length; no augmentation, which pays off only
    in long trainings.
    """
    return Recipe(
        name="quick",
        optimizer="adamw",
        lr=4e-3,
        batch=64,
        epochs=20,
        warmup=2.0,
        weight_decay=0.02,
        ema=0.99,
        augment=Augment(),
    )


def auto() -> Recipe:
    """Return a recipe that follows the number of images and steps: the one to begin with.

    AdamW, and for classifiers from random weights SGD from 600 steps on; see `nas.training.auto`.
    """
    return Recipe(
        name="auto",
        optimizer="adamw",
        lr=8e-3,
        batch=64,
        epochs=30,
        warmup=3.0,
        clip=1.0,
        weight_decay=0.02,
        ema=0.99,
        augment=Augment(flip=True),
        auto=FOLLOWING,
    )


def int8() -> Recipe:
    """Return a recipe for training with quantization, which begins with a trained network.

    AdamW, a low rate that falls as a cosine; no warm-up, since the network is trained already.
    """
    return Recipe(
        name="int8",
        optimizer="adamw",
        lr=1e-3,
        batch=64,
        epochs=5,
        warmup=0.0,
        weight_decay=0.02,
        ema=0.99,
        clip=1.0,
        augment=Augment(flip=True, crop=0.6),
        boxes=BoxAugment(flip=True),
    )


def ssdlite() -> Recipe:
    """Return a recipe for detectors of the SSD type, from random weights on some hundred images.

    AdamW and a cosine; the random parts, expanded images and flips of SSD (Liu et al., 2016).
    """
    return Recipe(
        name="ssdlite",
        optimizer="adamw",
        lr=2e-3,
        batch=16,
        epochs=120,
        warmup=3.0,
        weight_decay=0.02,
        ema=0.998,
        clip=10.0,
        boxes=BoxAugment(flip=True, zoom=(0.5, 1.25), iou_crop=0.5, colour=0.3),
    )


def yolo() -> Recipe:
    """Return a recipe for detectors of the YOLO type, from random weights on some hundred images.

    AdamW and a cosine; mosaics (Bochkovskiy et al., 2020), scales, flips and colours.
    """
    return replace(
        ssdlite(),
        name="yolo",
        boxes=BoxAugment(flip=True, zoom=(0.5, 1.5), mosaic=0.5, colour=0.3),
    )


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "auto": auto,
    "efficientnet": efficientnet,
    "mobilenetv3": mobilenetv3,
    "adamw": adamw,
    "quick": quick,
    "int8": int8,
    "ssdlite": ssdlite,
    "yolo": yolo,
}
"""The presets."""


def descriptions() -> Mapping[str, str]:
    """Return the presets with a line on each."""
    lines = {name: (make.__doc__ or "").partition("\n")[0] for name, make in RECIPES.items()}
    texts = {name: line.removeprefix("Return ").rstrip(".") for name, line in lines.items()}
    return {name: text[0].upper() + text[1:] for name, text in texts.items()}


def advice(recipe: Recipe, *, images: int, task: str = "classification") -> str:
    """Return what to say of a recipe made for far more steps than these, or for another `task`.

    It is "" for one that suits.
    """
    boxes = recipe.boxes != BoxAugment()
    if task == "detection" and not boxes and not recipe.auto:
        return f"recipe {recipe.name} does not vary images with boxes; try `--recipe auto`"
    if task != "detection" and boxes and recipe.augment == Augment():
        return f"recipe {recipe.name} is made for detectors; try `--recipe auto`"
    steps = images * recipe.epochs // recipe.images_a_step
    name = recipe.name.partition(":")[0]
    if name not in _LONG or steps >= _MIN_LONG_STEPS:
        return ""
    return (
        f"recipe {name} is made for trainings of {RECIPES[name]().epochs} epochs on ImageNet, and "
        f"these are {steps:,} steps; try `--recipe auto`, which follows their number"
    )


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """Return the content of a recipe, without what recipes of earlier versions did not have."""
    content: dict[str, Any] = as_json(asdict(recipe))
    absent = {"auto": [], "epsilon": 0.0, "boxes": as_json(asdict(BoxAugment()))}
    return {key: value for key, value in content.items() if value != absent.get(key)}


def adapt(
    recipe: Recipe, *, epochs: int = 0, batch: int = 0, accumulate: int = 0, lr: float = 0.0
) -> Recipe:
    """Return `recipe` for another length and batch size; 0 leaves a value as it is.

    Without `lr`, the rate follows the images of a step: in proportion for RMSprop and SGD (Goyal
    et al., 2017), as the papers do, and as their square root for AdamW (Malladi et al., 2022). A
    staircase keeps its number of stairs, so that a short training ends as low as a long one; the
    warm-up takes a tenth of another length at most, with SGD also the share that it had. What is
    given is no longer open (`Recipe.auto`).

    Raises:
        BadValue: if a value is out of its range.
    """
    length = epochs or recipe.epochs
    share = recipe.warmup / recipe.epochs if recipe.optimizer == "sgd" else 0.0
    longest = max(length / 10, length * share)
    changed = replace(
        recipe,
        epochs=length,
        batch=batch or recipe.batch,
        accumulate=accumulate or recipe.accumulate,
        warmup=recipe.warmup if length == recipe.epochs else min(recipe.warmup, longest),
        decay_every=recipe.decay_every * length / recipe.epochs,
        auto=tuple(n for n in recipe.auto if not ((n == "batch" and batch) or (n == "lr" and lr))),
    )
    growth = changed.images_a_step / recipe.images_a_step
    power = 0.5 if recipe.optimizer == "adamw" else 1.0
    return replace(changed, lr=lr or recipe.lr * growth**power)

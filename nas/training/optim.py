"""Optimizers: RMSprop as TensorFlow has it, AdamW, SGD, and which weights decay."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from nas.training.recipes import Recipe

Tensors = list[Tensor] | tuple[Tensor, ...]

EPSILON, ADAM_EPSILON = 1e-3, 1e-8
"""Of RMSprop, in the TensorFlow originals of MnasNet, MobileNetV3 and EfficientNet; of AdamW."""


MOMENTUM = 0.9
"""Of SGD, by Nesterov's rule (Sutskever et al., 2013)."""


class RMSpropTF(Optimizer):
    """RMSprop (Tieleman & Hinton, 2012) with momentum, the TensorFlow way.

    It differs from torch's in three points that the papers' rates rely on: epsilon stands inside
    the root, the average of the squares begins at 1, and the rate is part of the momentum, so that
    a lower rate does not shrink what has gathered.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = EPSILON,
    ) -> None:
        """Optimise `params`, tensors or groups; a group's `weight_decay` is an L2 penalty."""
        defaults = {
            "lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": 0.0
        }  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch has overloads here
        """Change every parameter that has a gradient once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        grads: Tensors = [p.grad for p in params]
        squares, momenta = zip(*(self._averages(p) for p in params), strict=True)
        if group["weight_decay"]:
            grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, grads, grads, value=1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_addcdiv_(momenta, grads, roots, value=group["lr"])
        torch._foreach_sub_(params, momenta)

    def _averages(self, param: Tensor) -> tuple[Tensor, Tensor]:
        state = self.state[param]
        if not state:
            state["square"] = torch.ones_like(param, memory_format=torch.preserve_format)
            state["momentum"] = torch.zeros_like(param, memory_format=torch.preserve_format)
        return state["square"], state["momentum"]


def build_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """Return the optimizer of `recipe` for the parameters of `model`."""
    groups = parameter_groups(model, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=recipe.lr, eps=recipe.epsilon or ADAM_EPSILON, fused=True)
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=recipe.lr, momentum=MOMENTUM, nesterov=True, fused=True)
    return RMSpropTF(groups, lr=recipe.lr, eps=recipe.epsilon or EPSILON)


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters of `model` in two groups: those that decay, and the others.

    The filters of depthwise convolutions do not decay (Howard et al., 2017: "little or no weight
    decay on the depthwise filters since there are so few parameters in them"), nor do norms and
    biases.
    """
    decayed = {id(module.weight) for module in model.modules() if _decays(module)}
    return [
        {
            "params": [p for p in model.parameters() if (id(p) in decayed) == wanted],
            "weight_decay": weight_decay if wanted else 0.0,
        }
        for wanted in (True, False)
    ]


def _decays(module: nn.Module) -> bool:
    match module:
        case nn.Conv2d():
            return module.groups == 1
        case nn.Linear():
            return True
    return False

"""The optimizer of a recipe, with a learning rate and weight decay for each part of the network."""

from typing import Any

import torch
from torch import nn

from bench.suite.recipe import Recipe
from methods import Method, Network


def parameter_groups(net: Network, method: Method, recipe: Recipe) -> list[dict[str, Any]]:
    """The optimizer's groups of the parameters of F, C and D (all that the method adds).

    Parameters of one `lr_mult`, one weight decay and one momentum are in one group, because fewer
    groups need fewer GPU kernels. A bottleneck is trained as C is, though it is part of F: in every
    protocol it starts as new as C. With `decay = "kernels"` biases and norms have no weight decay.
    """
    F, *bottleneck = net.F.children() if recipe.bottleneck.width else (net.F,)
    alike: dict[tuple[float, float, float], list[nn.Parameter]] = {}
    for part, modules in (("F", [F]), ("C", [*bottleneck, net.C]), ("D", [method])):
        mult, decay = getattr(recipe.lr_mult, part), getattr(recipe.weight_decay, part)
        momentum = recipe.momentum * getattr(recipe.momentum_mult, part)
        for q in (q for module in modules for q in module.parameters() if q.requires_grad):
            spared = recipe.decay == "kernels" and q.ndim < 2
            alike.setdefault((mult, 0.0 if spared else decay, momentum), []).append(q)
    return [
        {"params": params, "weight_decay": decay, "lr_mult": mult, "lr": recipe.lr * mult}
        | ({"momentum": momentum} if recipe.optimizer == "sgd" else {})
        for (mult, decay, momentum), params in alike.items()
    ]


def optimizer(net: Network, method: Method, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the groups of `parameter_groups`."""
    groups = parameter_groups(net, method, recipe)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, betas=(recipe.beta1, 0.999))
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)

"""Who is trained how fast: the optimiser's parameter groups."""

from typing import Any

import torch

from bench.recipe import Recipe
from methods import Method, Network


def parameter_groups(net: Network, method: Method, recipe: Recipe) -> list[dict[str, Any]]:
    """Optimiser groups of F, C and D (all that the method adds), each with its multiplier `lr_mult` and weight decay.

    A bottleneck, though part of F, is trained as C is: in every protocol it is as new. With `decay = "kernels"` biases and
    norms are spared (Keras's kernel regulariser).
    """
    F, *bottleneck = net.F.children() if recipe.bottleneck.width else (net.F,)
    groups = []
    for part, modules in (("F", [F]), ("C", [*bottleneck, net.C]), ("D", [method])):
        mult, decay = getattr(recipe.lr_mult, part), getattr(recipe.weight_decay, part)
        params = [q for module in modules for q in module.parameters() if q.requires_grad]
        spared = [q for q in params if q.ndim < 2] if recipe.decay == "kernels" else []
        for some, wd in (([q for q in params if all(q is not r for r in spared)], decay), (spared, 0.0)):
            if some:
                groups.append({"params": some, "weight_decay": wd, "lr_mult": mult, "lr": recipe.lr * mult})
    return groups


def optimiser(net: Network, method: Method, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over those groups."""
    groups = parameter_groups(net, method, recipe)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)

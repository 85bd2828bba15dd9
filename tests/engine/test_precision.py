"""Every method in bfloat16: autocast computes the forwards, parameters and losses stay float32."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from helpers import needed, tiny_batches, tiny_net, variants
from torch import Tensor

from bench import nets
from bench.engine.clock import Clock
from bench.engine.loop import train
from bench.engine.training import set_precision
from bench.suite.recipe import Recipe
from methods import Batch, Progress, get

CPU = torch.device("cpu")
STEPS = 4
# so slow that no method magnifies what bfloat16 rounds
RECIPE = Recipe(backbone="any", size=2, iterations=STEPS, batch=5, lr=0.005)


def trained(name: str, hyper: dict[str, Any], *, precision: str) -> tuple[list[float], Tensor]:
    """The losses of a few steps, and the logits of source images afterwards."""
    recipe = RECIPE.model_copy(update=needed(name) | {"precision": precision})
    torch.manual_seed(0)
    net = tiny_net(joint=True)
    method = get(name)(net, **hyper)

    def batches(step: int) -> tuple[Batch, Batch]:
        s, t = tiny_batches(seed=step)
        labels = torch.arange(len(t.x)) % net.classes if method.supervised_target else None
        return s, replace(t, y=labels)  # type: ignore[arg-type]

    autocast = set_precision(recipe, CPU)
    (window,) = train(
        method, net, batches, nets.optimizer(net, method, recipe), recipe.lr_at, Clock(CPU),
        iterations=STEPS, stops={STEPS}, autocast=autocast, second_stage=recipe.second_stage,
        progress=partial(Progress, first=recipe.second_stage),
    )  # fmt: skip
    for q in (*net.parameters(), *method.parameters()):
        assert q.dtype == torch.float32 and (q.grad is None or q.grad.dtype == torch.float32)
        assert q.isfinite().all()
    with torch.no_grad(), autocast:
        return window.loss, method.predict(net, tiny_batches(seed=STEPS)[0].x)


@pytest.mark.parametrize(("name", "hyper"), variants())
def test_a_method_trains_in_bfloat16_about_as_in_float32(name: str, hyper: dict[str, Any]) -> None:
    half, logits = trained(name, hyper, precision="bf16")
    full, exact = trained(name, hyper, precision="fp32")
    assert half != full and logits.dtype == torch.bfloat16, "it was computed in bfloat16"
    assert half == pytest.approx(full, rel=0.03, abs=0.02)
    assert torch.allclose(logits.float(), exact, atol=0.05)

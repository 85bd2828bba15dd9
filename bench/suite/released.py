"""The default of every knob as it was released: what a key leaves out.

A key stands for what a suite states otherwise than these values, whatever the code's defaults are
today. So a default that is edited in the code changes the keys of the cells that rely on it, and no
record of the old value counts for them.

An entry is added with its knob, with the value that leaves older records as they are, and is never
edited.
"""

from collections.abc import Mapping
from typing import Any

from bench.suite.schema import merged

HEAD: dict[str, Any] = {"hidden": [], "dropout": 0.0, "batch_norm": False, "init": "default"}
BOTTLENECK: dict[str, Any] = {
    "width": 0, "batch_norm": False, "relu": False, "dropout": 0.0, "init": "default",
}  # fmt: skip
TABLES = {"bottleneck": BOTTLENECK, "classifier": HEAD, "discriminator": HEAD}
"""For each knob that is a table the defaults of its entries."""

RECIPE: dict[str, Any] = {
    "weights": "none",
    "bottleneck": BOTTLENECK,
    "head": "layers",
    "classifier": HEAD,
    "discriminator": HEAD | {"hidden": [1024, 1024], "dropout": 0.5},
    "resize": "bilinear",
    "crop": None,
    "train_crop": "none",
    "test_crop": "none",
    "flip": False,
    "normalize": "unit",
    "strong_view": "none",
    "train_limit": None,
    "test_limit": None,
    "forward": "separate",
    "precision": "fp32",
    "channels_last": False,
    "optimizer": "sgd",
    "lr_mult": {"F": 1.0, "C": 1.0, "D": 1.0},
    "momentum": 0.9,
    "momentum_mult": {"F": 1.0, "C": 1.0, "D": 1.0},
    "nesterov": False,
    "beta1": 0.9,
    "weight_decay": {"F": 0.0, "C": 0.0, "D": 0.0},
    "decay": "all",
    "schedule": "constant",
    "schedule_gamma": 10.0,
    "schedule_power": 0.75,
    "schedule_steps": 1,
    "schedule_at": [],
    "first_stage": 0.0,
    "eval_every": None,
}

DOMAIN: dict[str, Any] = {
    "domain": None, "path": None, "list": None, "crop": None, "transductive": False, "split": None,
}  # fmt: skip

HYPER: dict[str, dict[str, Any]] = {"toalign": {"twice": False}}
"""By method, each hyper-parameter whose default was edited in the code, with the one it had."""


def departures(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values that differ from the defaults, of a table its entries that do; all as in JSON."""
    return {
        k: departures(v, TABLES[k]) if k in TABLES else v
        for k, v in values.items()
        if k not in defaults or v != defaults[k]
    }


def completed(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of an older record: a knob that it does not know had its released default."""
    return merged(RECIPE, knobs)

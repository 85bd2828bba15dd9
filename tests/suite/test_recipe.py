"""The knobs of a recipe: defaults, what they mean together, older spellings, merging."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.errors import UsageError
from bench.suite import released
from bench.suite.recipe import (
    PLACEHOLDERS,
    Bottleneck,
    Head,
    Recipe,
    check_stated,
    default_knobs,
    modernized,
)
from bench.suite.schema import flat, merged
from bench.suite.suite import DomainSpec


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(
        {"backbone": "alexnet", "size": 256, "iterations": 1, "batch": 2, "lr": 0.5} | changes
    )


DEFAULTS = {
    "weights": "none",
    "head": "layers",
    "bottleneck": {
        "width": 0,
        "batch_norm": False,
        "relu": False,
        "dropout": 0.0,
        "init": "default",
    },
    "classifier": {"hidden": [], "dropout": 0.0, "batch_norm": False, "init": "default"},
    "discriminator": {
        "hidden": [1024, 1024],
        "dropout": 0.5,
        "batch_norm": False,
        "init": "default",
    },
    "resize": "bilinear",
    "crop": None,
    "train_crop": "none",
    "test_crop": "none",
    "flip": False,
    "strong_view": "none",
    "normalize": "unit",
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


def test_a_released_default_is_never_edited() -> None:
    """A key leaves out what equals its default: editing one would change what old records say.

    Defaults of new knobs may be added to DEFAULTS.
    """
    message = recipe().model_dump(
        mode="json", exclude={"backbone", "size", "iterations", "batch", "lr"}
    )
    assert message == DEFAULTS == released.RECIPE
    for name, model in (("bottleneck", Bottleneck), ("classifier", Head), ("discriminator", Head)):
        assert released.TABLES[name] == model().model_dump(mode="json")
    domain = {"domain": None, "path": None, "list": None, "crop": None, "transductive": False}
    domain |= {"split": None}
    assert DomainSpec(set="mnist").model_dump(exclude={"set"}) == domain == released.DOMAIN


REFUSED = {
    "a crop of no size": ({"train_crop": "random"}, "need `crop`"),
    "test crops of no size": ({"test_crop": "ten"}, "need `crop`"),
    "CDAN's crops of the whole image": (
        {"crop": 256, "test_crop": "ten-cdan"},
        "needs a crop smaller than the images",
    ),
    "a size of no crop": ({"crop": 224}, "`crop` cuts nothing"),
    "a crop larger than the image": (
        {"crop": 257, "train_crop": "center"},
        "257 pixels does not fit images of 256",
    ),
    "another crop": (
        {"crop": 224, "train_crop": "middle"},
        "'none', 'center', 'random' or 'random-resized'",
    ),
    "AlexNet's heads elsewhere": (
        {"backbone": "vgg16", "head": "alexnet"},
        'goes with backbone = "alexnet"',
    ),
    "AlexNet's heads and own layers": (
        {"head": "alexnet", "classifier": {"hidden": [5]}},
        "without classifier",
    ),
    "AlexNet's heads and a bottleneck": (
        {"head": "alexnet", "bottleneck": {"width": 5}},
        "bottleneck",
    ),
    "steps counted and placed": (
        {"schedule_steps": 2, "schedule_at": [0.5]},
        "give one of the two",
    ),
    "no pixels": ({"size": 0}, "greater than 0"),
    "pixels that fill any memory": ({"size": 20_000}, "less than or equal to 8192"),
    "true for a number": ({"size": True}, "a number is wanted, not true or false"),
    "a text for a number": ({"lr": "0.1"}, "a number is wanted, not the text '0.1'"),
    "a number for a switch": ({"flip": 1}, "true or false is wanted"),
    "a word for a switch": ({"classifier": {"batch_norm": "yes"}}, "true or false is wanted"),
    "a number of 400 digits": ({"lr": 10**400}, "a valid number"),
    "an endless rate": ({"lr": math.inf}, "a finite number"),
    "a momentum that is none": ({"momentum": math.nan}, "a finite number"),
    "a momentum of one": ({"momentum": 1.0}, "less than 1"),
    "a momentum of none for nesterov": (
        {"momentum": 0.0, "nesterov": True},
        "nesterov needs a momentum above 0",
    ),
    "a decay below 0": ({"weight_decay": {"F": -1, "C": 0, "D": 0}}, "greater than or equal to 0"),
    "a rate of a part that is none": ({"lr_mult": {"F": math.nan, "C": 1, "D": 1}}, "finite"),
    "dropping everything": ({"classifier": {"dropout": 1.0}}, "less than 1"),
    "a layer of no width": ({"classifier": {"hidden": [0]}}, "greater than 0"),
    "a layer of any width": ({"bottleneck": {"width": 10**9}}, "less than or equal to 100000"),
    "no stretches": ({"schedule_steps": 0}, "greater than or equal to 1"),
    "a fall after the end": ({"schedule_at": [1.5]}, "less than or equal to 1"),
    "a negative factor": ({"schedule": "inv", "schedule_gamma": -2}, "greater than or equal to 0"),
    "a rate that multiplies": (
        {"schedule": "step", "schedule_steps": 1000},
        "the rate ends at inf: a schedule_gamma below 1 lets it fall",
    ),
    "more steps than can be counted": ({"iterations": 10**12}, "less than or equal to 10000000"),
    "an unknown start": (
        {"classifier": {"init": "he"}},
        "'default', 'kaiming', 'kaiming-100' or 'xavier'",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_knobs_that_contradict_each_other_are_refused(why: str) -> None:
    changes, message = REFUSED[why]
    with pytest.raises(ValidationError) as e:
        recipe(**changes)
    assert message in str(e.value)


def test_the_network_sees_the_crop_or_the_whole_image() -> None:
    assert recipe().pixels == 256 and recipe(crop=224, train_crop="random-resized").pixels == 224


@given(st.floats(0, 1))
def test_the_rate_drops_where_the_recipe_says(p: float) -> None:
    drops = recipe(schedule="step", schedule_gamma=0.1, schedule_at=(0.25, 0.75))
    assert drops.lr_at(p) == pytest.approx(0.5 if p < 0.25 else 0.05 if p < 0.75 else 0.005)


def test_only_what_is_stated_is_checked_and_nothing_is_required() -> None:
    assert check_stated({}) == {}
    stated = {"lr": 1, "lr_mult": {"F": 1, "C": 10, "D": 10}, "bottleneck": {"width": 5}}
    assert check_stated(stated) == stated
    for wrong in (
        {"lr": -1},
        {"lr_mult": {"F": 1}},
        {"schedule": "cosine"},
        {"lrate": 1},
        {"crop": 5},
    ):
        with pytest.raises(ValidationError):
            check_stated(wrong)


def test_any_values_of_other_knobs_go_with_the_placeholders_of_those_that_are_required() -> None:
    assert set(PLACEHOLDERS) == {
        k for k, field in Recipe.model_fields.items() if field.is_required()
    }
    assert check_stated({"crop": 5000, "test_crop": "ten"}) == {"crop": 5000, "test_crop": "ten"}
    assert check_stated({"head": "alexnet"}) == {"head": "alexnet"}
    assert default_knobs() == DEFAULTS | dict.fromkeys(PLACEHOLDERS)


# older spellings


OLD = {
    "optimiser": "adam",
    "normalise": "half",
    "train_crop": "centre",
    "test_crop": "centre",
    "crop": 5,
}
NEW = {
    "optimizer": "adam",
    "normalize": "half",
    "train_crop": "center",
    "test_crop": "center",
    "crop": 5,
}


def test_older_spellings_are_read_as_todays() -> None:
    assert modernized(OLD) == NEW == modernized(NEW)
    assert recipe(**OLD) == recipe(**NEW) and check_stated(OLD) == check_stated(NEW) == NEW
    assert set(NEW) <= set(Recipe.model_fields) and not {"optimiser", "normalise"} & set(
        Recipe.model_fields
    )
    assert modernized({"label": "centre", "hidden": (1, 2)}) == {
        "label": "centre",
        "hidden": (1, 2),
    }, "no knob of old"
    assert modernized({"test_crop": ["none", "centre"]}) == {"test_crop": ["none", "center"]}, (
        "the choices of a search"
    )


def test_a_knob_in_both_spellings_is_refused() -> None:
    for attempt in (modernized, check_stated, lambda knobs: recipe(**knobs)):
        with pytest.raises(
            UsageError, match="'optimiser' and 'optimizer' are two spellings of one knob"
        ):
            attempt({"optimiser": "sgd", "optimizer": "sgd"})


leaves = st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
tables = st.dictionaries(
    st.sampled_from("abc"), leaves | st.dictionaries(st.sampled_from("FCD"), leaves, min_size=1)
)


@given(tables, tables)
def test_what_lies_above_counts_knob_by_knob(below: dict[str, Any], above: dict[str, Any]) -> None:
    both = flat(merged(below, above))
    assert flat(above).items() <= both.items()
    replaced = {
        k for k, v in above.items() if not isinstance(v, dict) or not isinstance(below.get(k), dict)
    }
    kept = {
        k: v
        for k, v in flat(below).items()
        if k not in flat(above) and k.split(".")[0] not in replaced
    }
    assert both == kept | flat(above)


def test_a_table_is_changed_in_part() -> None:
    below = {"lr_mult": {"F": 1, "C": 10}, "hidden": [1, 2]}
    assert merged(below, {"lr_mult": {"F": 0.1}, "hidden": [3]}) == {
        "lr_mult": {"F": 0.1, "C": 10},
        "hidden": [3],
    }

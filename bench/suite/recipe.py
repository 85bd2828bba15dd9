"""The recipe of a training: every knob of a protocol except the method's own hyper-parameters."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from bench.errors import UsageError
from bench.suite.schema import Number, Strict, Switch, Whole

LARGEST = 8192
"""Pixels of a side of an image: more is a slip of the keyboard, and fills any memory."""

NEW_NAMES = {"optimiser": "optimizer", "normalise": "normalize"}
"""Older spellings of knobs, still accepted wherever a knob can be stated."""

NEW_WORDS = {"train_crop": {"centre": "center"}, "test_crop": {"centre": "center"}}
"""Older spellings of the words that a knob can be set to."""


def modernized(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The same knobs as `Recipe` spells them today; what is no knob is kept as it is.

    Words in a list (the choices of a search) are respelled one by one.
    Raises UsageError when a knob is stated in both spellings.
    """
    new: dict[str, Any] = {}
    for name, value in knobs.items():
        knob = NEW_NAMES.get(name, name)
        if name != knob and knob in knobs:
            raise UsageError(
                f"{name!r} and {knob!r} are two spellings of one knob; state {knob!r} alone"
            )
        words = NEW_WORDS.get(knob)
        new[knob] = _respelled(value, words) if words else value
    return new


def _respelled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, list | tuple):
        return [_respelled(v, words) for v in value]
    return words.get(value, value) if isinstance(value, str) else value


Changes = Annotated[dict[str, Any], AfterValidator(modernized)]
"""Some knobs of a recipe, as a row, a task, a budget or the command line changes them."""

Init = Literal["default", "kaiming", "kaiming-100", "xavier"]
"""How the weights of fully connected layers are drawn.

default: as torch draws weights and biases. The others start with zero biases and weights from
kaiming: He's normal distribution; kaiming-100: the same with a negative slope of 100, which makes
them tiny; xavier: Glorot's normal distribution.
"""


HIGHEST = 1e30  # of a learning rate, at its start and at its end

Pixels = Annotated[Whole, Field(gt=0, le=LARGEST)]
Images = Annotated[Whole, Field(gt=0, le=1_000_000_000)]
Steps = Annotated[Whole, Field(gt=0, le=10_000_000)]
Width = Annotated[Whole, Field(gt=0, le=100_000)]
Dropout = Annotated[Number, Field(ge=0, lt=1)]
Factor = Annotated[Number, Field(ge=0, le=1_000_000)]


class Parts(Strict):
    """One number for each part of the network."""

    F: Factor  # the backbone
    C: Factor  # the bottleneck and the classifier
    D: Factor  # all that the method adds


class Head(Strict):
    """A stack of fully connected layers with a ReLU after each hidden one."""

    hidden: tuple[Width, ...] = Field(default=(), max_length=100)  # widths of the hidden layers
    dropout: Dropout = 0.0  # probability of dropout after each hidden layer
    batch_norm: Switch = False  # batch norm before each ReLU
    init: Init = "default"


class Bottleneck(Strict):
    """One layer between backbone and classifier, whose output C and D see."""

    width: Whole = Field(default=0, ge=0, le=100_000)
    """Features that it leaves; 0: there is no bottleneck."""
    batch_norm: Switch = False  # batch norm after the fully connected layer
    relu: Switch = False  # a ReLU after that
    dropout: Dropout = 0.0  # probability of dropout at the end
    init: Init = "default"


class Recipe(Strict):
    """Every knob of a protocol except the method's own hyper-parameters.

    A default, once released, is never edited: a record is identified by what its suite states
    differently from the defaults.
    """

    # the network

    backbone: str  # a name in `bench.nets.backbones`, or timm/NAME or torchvision/NAME
    weights: str = "none"
    """What the backbone starts from: "none" is at random, "imagenet" the usual published weights.

    Of torchvision/NAME also another name that torchvision has for weights, such as IMAGENET1K_V2.
    """
    bottleneck: Bottleneck = Bottleneck()
    head: Literal["layers", "alexnet"] = "layers"
    """layers: C and D are built as `classifier` and `discriminator` say.

    alexnet: both are the fully connected layers of torchvision's AlexNet; D starts as a copy of C.
    """
    classifier: Head = Head()  # C
    discriminator: Head = Head(hidden=(1024, 1024), dropout=0.5)  # each D that a method asks for

    # the images

    size: Pixels  # every image is resized to size × size
    resize: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    """Pillow's filter of that name. Pillow's own default was nearest until version 7.0 (January
    2020) made it bicubic."""
    crop: Pixels | None = None  # side of the square that the crops leave
    train_crop: Literal["none", "center", "random", "random-resized"] = "none"
    """random-resized: a random box of the image, resized to crop × crop (torchvision's)."""
    test_crop: Literal["none", "center", "ten", "ten-cdan"] = "none"
    """ten: the mean of the softmax over corners, center and their mirror images.

    ten-cdan: the same, but what is cut from the lower and right edge begins one pixel before them,
    as in CDAN's code.
    """
    flip: Switch = False  # mirror a training image left to right with probability 1/2
    strong_view: Literal["none", "randaugment"] = "none"
    """A second view of each training image, for methods that need one.

    randaugment: another crop of it, changed by two random operations of magnitude 10 of 30
    (RandAugment; Cubuk et al., CVPR Workshops 2020).
    """
    normalize: Literal["unit", "half", "imagenet", "model"] = "unit"
    """unit: pixels from 0 to 1. half: from −1 to 1. imagenet: by ImageNet's mean and deviation.

    model: as timm or torchvision says for this model; for their models it is the default.
    """
    train_limit: Images | None = None  # images of each training set; None: all
    test_limit: Images | None = None  # images of each test set; None: all

    # the steps

    iterations: Steps  # steps of the training
    first_stage: Number = Field(default=0.0, ge=0, lt=1)
    """Share of the iterations that makes a first stage, for methods that train in two.

    With the second stage progress, and so the schedule, begins anew; momenta are forgotten.
    """
    batch: Whole = Field(gt=1, le=100_000)  # images of each domain in a step
    forward: Literal["separate", "joint"] = "separate"
    """Whether source and target pass the backbone in two forwards or in one.

    Batch norm tells the two apart.
    """
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Arithmetic on the device. tf32: in matrix products and convolutions. bf16: by autocast."""
    channels_last: Switch = False
    """Memory format of convolutions and of what passes them. Not to the bit what it is without."""

    # the optimizer

    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: Number = Field(gt=0, le=HIGHEST)  # learning rate at the start
    lr_mult: Parts = Parts(F=1, C=1, D=1)  # factors of the learning rate
    momentum: Number = Field(default=0.9, ge=0, lt=1)  # of sgd
    momentum_mult: Parts = Parts(F=1, C=1, D=1)  # factors of the momentum, at most 1
    nesterov: Switch = False  # of sgd
    beta1: Number = Field(default=0.9, ge=0, lt=1)  # of adam: how slowly its mean gradient changes
    weight_decay: Parts = Parts(F=0, C=0, D=0)
    decay: Literal["all", "kernels"] = "all"
    """kernels: weight decay spares biases and norms (Keras's kernel regularizer)."""
    schedule: Literal["constant", "inv", "step"] = "constant"  # of the learning rate; see `lr_at`
    schedule_gamma: Factor = 10.0  # γ of inv; the factor of each step
    schedule_power: Number = Field(default=0.75, ge=0, le=100)  # the exponent of inv
    schedule_steps: Whole = Field(default=1, ge=1, le=10_000)
    """step: how many equally long stretches have a rate of their own."""
    schedule_at: tuple[Annotated[Number, Field(ge=0, le=1)], ...] = Field(
        default=(), max_length=10_000
    )
    """step: the values of progress in [0, 1] at which it falls."""

    # the measurements

    eval_every: Steps | None = None
    """Iterations between two evaluations; None: evaluate once, at the end."""

    @model_validator(mode="before")
    @classmethod
    def _spell_as_today(cls, raw: Any) -> Any:
        return modernized(raw) if isinstance(raw, Mapping) else raw

    @model_validator(mode="before")
    @classmethod
    def _normalize_as_the_model(cls, raw: Any) -> Any:
        """It is stated, not left to the default, so that the key tells it from "unit"."""
        backbone = raw.get("backbone") if isinstance(raw, Mapping) else None
        if (
            isinstance(backbone, str)
            and "/" in backbone
            and not raw.keys() & {"normalize", "normalise"}
        ):
            return {**raw, "normalize": "model"}
        return raw

    @field_validator("weights")
    @classmethod
    def _check_weights(cls, weights: str, info: ValidationInfo) -> str:
        backbone = info.data.get("backbone", "")
        if "/" not in backbone and weights not in ("none", "imagenet"):
            raise ValueError("Input should be 'none' or 'imagenet'")
        return weights

    @property
    def pixels(self) -> int:
        """Side of the square image that the network sees, in pixels."""
        return self.size if self.crop is None else self.crop

    @property
    def second_stage(self) -> int:
        """The iteration with which the second of two stages begins; 0: there is one stage."""
        return math.ceil(self.first_stage * self.iterations)

    def lr_at(self, p: float) -> float:
        """Learning rate at progress p in [0, 1], before the factors `lr_mult`.

        constant: lr.
        inv: lr·(1 + γp)^−power (Ganin et al., JMLR 2016, section 5.2.2). Code that counts
        iterations in place of p has γ = its own γ × iterations.
        step: lr·γ^k after k falls, which happen at each progress in `schedule_at`, or at the end of
        each but the last of `schedule_steps` equally long stretches.
        """
        match self.schedule:
            case "inv":
                return float(self.lr * (1 + self.schedule_gamma * p) ** -self.schedule_power)
            case "step" if self.schedule_at:
                return self.lr * self.schedule_gamma ** sum(p >= at for at in self.schedule_at)
            case "step":
                falls = min(int(p * self.schedule_steps), self.schedule_steps - 1)
                return self.lr * self.schedule_gamma**falls
            case _:
                return self.lr

    @model_validator(mode="after")
    def _check_crops(self) -> Self:
        cropped = self.train_crop != "none" or self.test_crop != "none"
        if cropped and self.crop is None:
            raise ValueError(
                "train_crop and test_crop need `crop`, the pixels of a side of what they cut out"
            )
        if self.crop is not None and not cropped:
            raise ValueError("`crop` cuts nothing without train_crop or test_crop")
        if self.crop is not None and self.crop > self.size:
            raise ValueError(f"a crop of {self.crop} pixels does not fit images of {self.size}")
        if self.test_crop == "ten-cdan" and self.crop == self.size:
            raise ValueError('test_crop = "ten-cdan" needs a crop smaller than the images')
        return self

    @model_validator(mode="after")
    def _check_head(self) -> Self:
        shapes = ("classifier", "discriminator", "bottleneck")
        shaped = any(getattr(self, k) != Recipe.model_fields[k].default for k in shapes)
        if self.head == "alexnet" and (self.backbone != "alexnet" or shaped):
            raise ValueError(
                f'head = "alexnet" goes with backbone = "alexnet", without {", ".join(shapes)}'
            )
        return self

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.schedule_at and self.schedule_steps != 1:
            raise ValueError(
                "schedule_at says at which progress the rate falls, schedule_steps after how many "
                "equal stretches: give one of the two"
            )
        try:
            last = self.lr_at(1.0)
        except OverflowError:
            last = math.inf
        if not last <= HIGHEST:
            raise ValueError(
                f"the rate ends at {last:.1e}: a schedule_gamma below 1 lets it fall at each step"
            )
        return self

    @model_validator(mode="after")
    def _check_momentum(self) -> Self:
        if self.optimizer == "sgd" and self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        if max(self.momentum_mult.F, self.momentum_mult.C, self.momentum_mult.D) > 1:
            raise ValueError("a factor of momentum_mult is at most 1")
        return self


PLACEHOLDERS: dict[str, Any] = {
    "backbone": "alexnet", "size": LARGEST, "iterations": 1, "batch": 2, "lr": 1.0,
}  # fmt: skip
"""For each knob without a default a value that contradicts no value of another knob."""


def check_stated(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Validate some knobs as `Recipe` does, except that none is required; returns them validated.

    Raises pydantic's ValidationError, with places as within `Recipe`, or UsageError.
    """
    stated = modernized(knobs)
    recipe = Recipe.model_validate(PLACEHOLDERS | stated)
    return recipe.model_dump(mode="json", include=set(stated), exclude_unset=True)


def default_knobs() -> dict[str, Any]:
    """Every knob with its default as JSON has it; None for a knob that has no default."""
    values = Recipe.model_validate(PLACEHOLDERS).model_dump(mode="json")
    return values | dict.fromkeys(PLACEHOLDERS)

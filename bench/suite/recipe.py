"""The recipe of a training: every knob of a protocol except the method's own hyper-parameters."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bench.errors import UsageError
from bench.suite.schema import Strict

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


class Parts(Strict):
    """One number for each part of the network."""

    F: float  # the backbone
    C: float  # the bottleneck and the classifier
    D: float  # all that the method adds


class Head(Strict):
    """A stack of fully connected layers with a ReLU after each hidden one."""

    hidden: tuple[int, ...] = ()  # widths of the hidden layers
    dropout: float = 0.0  # probability of dropout after each hidden layer
    batch_norm: bool = False  # batch norm before each ReLU
    init: Init = "default"


class Bottleneck(Strict):
    """One layer between backbone and classifier, whose output C and D see."""

    width: int = Field(default=0, ge=0)  # features that it leaves; 0: there is no bottleneck
    batch_norm: bool = False  # batch norm after the fully connected layer
    relu: bool = False  # a ReLU after that
    dropout: float = 0.0  # probability of dropout at the end
    init: Init = "default"


class Recipe(Strict):
    """Every knob of a protocol except the method's own hyper-parameters.

    A default, once released, is never edited: a record is identified by what its suite states
    differently from the defaults.
    """

    # the network

    backbone: str  # a name in `bench.nets.backbones`
    weights: Literal["none", "imagenet"] = "none"  # what the backbone starts from
    bottleneck: Bottleneck = Bottleneck()
    head: Literal["layers", "alexnet"] = "layers"
    """layers: C and D are built as `classifier` and `discriminator` say.

    alexnet: both are the fully connected layers of torchvision's AlexNet; D starts as a copy of C.
    """
    classifier: Head = Head()  # C
    discriminator: Head = Head(hidden=(1024, 1024), dropout=0.5)  # each D that a method asks for

    # the images

    size: int  # pixels; every image is resized to size × size
    resize: Literal["nearest", "bilinear"] = "bilinear"  # Pillow's filter of that name
    crop: int | None = Field(default=None, gt=0)  # pixels; side of the square that the crops leave
    train_crop: Literal["none", "center", "random", "random-resized"] = "none"
    """random-resized: a random box of the image, resized to crop × crop (torchvision's)."""
    test_crop: Literal["none", "center", "ten"] = "none"
    """ten: the mean of the softmax over corners, center and their mirror images, as in CDAN."""
    flip: bool = False  # mirror a training image left to right with probability 1/2
    normalize: Literal["unit", "half", "imagenet"] = "unit"
    """unit: pixels from 0 to 1. half: from −1 to 1. imagenet: by ImageNet's mean and deviation."""
    train_limit: int | None = Field(default=None, gt=0)  # images of each training set; None: all
    test_limit: int | None = Field(default=None, gt=0)  # images of each test set; None: all

    # the steps

    iterations: int = Field(gt=0)  # steps of the training
    batch: int = Field(gt=1)  # images of each domain in a step
    forward: Literal["separate", "joint"] = "separate"
    """Whether source and target pass the backbone in two forwards or in one.

    Batch norm tells the two apart.
    """
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Arithmetic on the device. tf32: in matrix products and convolutions. bf16: by autocast."""
    channels_last: bool = False
    """Memory format of convolutions and of what passes them. Not to the bit what it is without."""

    # the optimizer

    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(gt=0)  # learning rate at the start
    lr_mult: Parts = Parts(F=1, C=1, D=1)  # factors of the learning rate
    momentum: float = 0.9  # of sgd
    nesterov: bool = False  # of sgd
    weight_decay: Parts = Parts(F=0, C=0, D=0)
    decay: Literal["all", "kernels"] = "all"
    """kernels: weight decay spares biases and norms (Keras's kernel regularizer)."""
    schedule: Literal["constant", "inv", "step"] = "constant"  # of the learning rate; see `lr_at`
    schedule_gamma: float = 10.0  # γ of inv; the factor of each step
    schedule_power: float = 0.75  # the exponent of inv
    schedule_steps: int = 1  # step: how many equally long stretches have a rate of their own
    schedule_at: tuple[float, ...] = ()  # step: the values of progress in [0, 1] at which it falls

    # the measurements

    eval_every: int | None = Field(default=None, gt=0)
    """Iterations between two evaluations; None: evaluate once, at the end."""

    @model_validator(mode="before")
    @classmethod
    def _spell_as_today(cls, raw: Any) -> Any:
        return modernized(raw) if isinstance(raw, Mapping) else raw

    @property
    def pixels(self) -> int:
        """Side of the square image that the network sees, in pixels."""
        return self.size if self.crop is None else self.crop

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
        return self


PLACEHOLDERS: dict[str, Any] = {
    "backbone": "alexnet", "size": 2**31, "iterations": 1, "batch": 2, "lr": 1.0,
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

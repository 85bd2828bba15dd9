"""How a run is trained: every knob of a protocol but the method's own."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.suite.schema import Strict

Init = Literal["default", "kaiming", "kaiming-100", "xavier"]
"""How fully connected layers start: as torch has it, or zero biases and He's normal (slope 100: tiny) or Glorot's weights."""


class Parts(Strict):
    """One number for each part of the network: F backbone, C bottleneck and classifier, D whatever the method adds."""

    F: float
    C: float
    D: float


class Head(Strict):
    """A stack of fully connected layers: their widths, the dropout after each, batch norm before the ReLU or not."""

    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    batch_norm: bool = False
    init: Init = "default"


class Bottleneck(Strict):
    """A layer between backbone and classifier, whose output C and D see: Linear, batch norm, ReLU, dropout. width 0: none."""

    width: int = Field(default=0, ge=0)
    batch_norm: bool = False
    relu: bool = False
    dropout: float = 0.0
    init: Init = "default"


class Recipe(Strict):
    """Every knob of a protocol but the method's own.

    Images are resized to `size` × `size`; crops, where asked for, leave `crop` × `crop` of that, and `random-resized` makes so
    many of a random box of it. Test crops: the centre, or the mean of the softmax over `ten` (corners and centre, each with its
    mirror image), as in CDAN.

    head: `layers`, C and D as `classifier` and `discriminator` say; or `alexnet`, the fully connected layers of torchvision's
    AlexNet for both, D starting as a copy of C.

    A default, once released, is never edited: records hold only what a suite says otherwise (`Cell.key`).
    """

    backbone: str
    weights: Literal["none", "imagenet"] = "none"
    bottleneck: Bottleneck = Bottleneck()
    head: Literal["layers", "alexnet"] = "layers"
    classifier: Head = Head()
    discriminator: Head = Head(hidden=(1024, 1024), dropout=0.5)

    size: int
    resize: Literal["nearest", "bilinear"] = "bilinear"
    crop: int | None = Field(default=None, gt=0)
    train_crop: Literal["none", "centre", "random", "random-resized"] = "none"
    test_crop: Literal["none", "centre", "ten"] = "none"
    flip: bool = False
    normalise: Literal["unit", "half", "imagenet"] = "unit"
    train_limit: int | None = Field(default=None, gt=0)
    test_limit: int | None = Field(default=None, gt=0)

    iterations: int = Field(gt=0)
    batch: int = Field(gt=1)
    forward: Literal["separate", "joint"] = "separate"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    channels_last: bool = False

    optimiser: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(gt=0)
    lr_mult: Parts = Parts(F=1, C=1, D=1)
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: Parts = Parts(F=0, C=0, D=0)
    decay: Literal["all", "kernels"] = "all"
    schedule: Literal["constant", "inv", "step"] = "constant"
    schedule_gamma: float = 10.0
    schedule_power: float = 0.75
    schedule_steps: int = 1
    schedule_at: tuple[float, ...] = ()

    eval_every: int | None = Field(default=None, gt=0)

    @property
    def pixels(self) -> int:
        """Side of the square that crops leave, or of the whole image where nothing is cut."""
        return self.size if self.crop is None else self.crop

    def lr_at(self, p: float) -> float:
        """Learning rate at progress p in [0, 1] before the parts' multipliers.

        inv: lr (1 + gamma p)^-power (Ganin et al., JMLR 2016, section 5.2.2); code that counts iterations in place of p
        has gamma = its own × iterations;
        step: lr x gamma after each of `schedule_steps` equal stretches, or at each progress in `schedule_at`.
        """
        match self.schedule:
            case "inv":
                return float(self.lr * (1 + self.schedule_gamma * p) ** -self.schedule_power)
            case "step" if self.schedule_at:
                return self.lr * self.schedule_gamma ** sum(p >= at for at in self.schedule_at)
            case "step":
                return self.lr * self.schedule_gamma ** min(int(p * self.schedule_steps), self.schedule_steps - 1)
            case _:
                return self.lr

    @model_validator(mode="after")
    def _crops_agree(self) -> Self:
        cropped = self.train_crop != "none" or self.test_crop != "none"
        if cropped and self.crop is None:
            raise ValueError("train_crop and test_crop need `crop`, the side of the square they cut out, in pixels")
        if self.crop is not None and not cropped:
            raise ValueError("`crop` cuts nothing without train_crop or test_crop")
        if self.crop is not None and self.size is not None and self.crop > self.size:
            raise ValueError(f"a crop of {self.crop} pixels does not fit images of {self.size}")
        return self

    @model_validator(mode="after")
    def _heads_agree(self) -> Self:
        shapes = ("classifier", "discriminator", "bottleneck")
        shaped = any(getattr(self, k) != Recipe.model_fields[k].default for k in shapes)
        if self.head == "alexnet" and (self.backbone not in ("alexnet", None) or shaped):
            raise ValueError(f'head = "alexnet" goes with backbone = "alexnet", without {", ".join(shapes)}')
        return self

    @model_validator(mode="after")
    def _steps_agree(self) -> Self:
        if self.schedule_at and self.schedule_steps != 1:
            raise ValueError("schedule_at says where the steps are, schedule_steps how many equal ones: give one of the two")
        return self


class Knobs(Recipe):
    """A recipe with holes: what a preset leaves out is the suite's to say."""

    backbone: str | None = None  # type: ignore[assignment]
    size: int | None = None  # type: ignore[assignment]
    iterations: int | None = Field(default=None, gt=0)  # type: ignore[assignment]
    batch: int | None = Field(default=None, gt=1)  # type: ignore[assignment]
    lr: float | None = Field(default=None, gt=0)  # type: ignore[assignment]
